"""CIFAR-10 and CIFAR-100, read by torchvision's own loaders."""

from pathlib import Path
from typing import Any

import torch
from torchvision.datasets import CIFAR10, CIFAR100

from crcd.data.dataset import DataSet
from crcd.data.official import read_official, tensor_images

STATISTICS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
"""Published mean and standard deviation of the training pixels, by channel."""
SOURCES: dict[str, Any] = {"cifar10": CIFAR10, "cifar100": CIFAR100}


def cifar(name: str, root: Path, image_size: int | None, *, download: bool) -> DataSet:
    """50,000 training and 10,000 test images of 32x32.

    Raises:
        CrcdError: the official files are not under ``root``, are damaged, or could not be downloaded.
    """
    source = SOURCES[name]

    def read(train: bool) -> Any:
        return source(str(root), train=train, download=download)

    hashes = [*source.train_list, *source.test_list, (source.meta["filename"], source.meta["md5"])]
    parts = read_official(name, root, source.base_folder, hashes, read, download=download)
    train, test = (
        tensor_images(torch.from_numpy(part.data).permute(0, 3, 1, 2), torch.tensor(part.targets), image_size, name)
        for part in parts
    )
    return DataSet(name, train, test, tuple(parts[0].classes), *STATISTICS[name])
