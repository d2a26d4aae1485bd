"""CIFAR-10 and CIFAR-100, read by torchvision's own loaders."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from torchvision.datasets import CIFAR10, CIFAR100

from crcd.data.dataset import DataSet, TensorImages
from crcd.errors import CrcdError

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
    try:
        parts = [source(str(root), train=train, download=download) for train in (True, False)]
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        folder = root / source.base_folder
        if download:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CrcdError(
                f"{name} could not be downloaded into {root} ({reason}): put its files in {folder}"
            ) from error
        raise CrcdError(
            f"{name} is not in {folder}, or its files are damaged: pass --download, or name the folder that holds "
            f"{source.base_folder} with --data-dir"
        ) from error
    splits = []
    for part in parts:
        image_NCHW = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
        if image_size not in (None, 32):
            image_NCHW = F.interpolate(image_NCHW, size=(image_size, image_size), mode="bilinear", antialias=True)
        splits.append(TensorImages(image_NCHW, torch.tensor(part.targets)))
    mean, std = STATISTICS[name]
    return DataSet(name, splits[0], splits[1], tuple(parts[0].classes), mean, std)
