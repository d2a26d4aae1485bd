"""STL-10 (Coates, Lee and Ng, 2011), read by torchvision's own loader."""

from pathlib import Path
from typing import Any

import torch
from torchvision.datasets import STL10

from crcd.data.dataset import DataSet
from crcd.data.official import read_official, tensor_images
from crcd.errors import CrcdError

STATISTICS = ((0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713))
"""Published mean and standard deviation of the labelled training pixels, by channel."""


def stl10(root: Path, image_size: int | None, *, download: bool) -> DataSet:
    """5,000 training and 8,000 test images of 96x96. The 100,000 unlabelled ones are not used, but part of the files.

    Raises:
        CrcdError: the official files are not under ``root``, are damaged, or could not be downloaded.
    """

    def read(train: bool) -> Any:
        return STL10(str(root), split="train" if train else "test", download=download)

    hashes = [*STL10.train_list, *STL10.test_list, (STL10.class_names_file, None)]
    parts = read_official("stl10", root, STL10.base_folder, hashes, read, download=download)
    names = root / STL10.base_folder / STL10.class_names_file
    if not names.is_file():
        raise CrcdError(f"{names} is missing: unpack {STL10.filename} again")
    train, test = (
        tensor_images(torch.from_numpy(part.data), torch.from_numpy(part.labels), image_size, "stl10") for part in parts
    )
    return DataSet("stl10", train, test, tuple(parts[0].classes), *STATISTICS)
