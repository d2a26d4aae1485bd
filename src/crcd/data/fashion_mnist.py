"""Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017), read by torchvision's own loader."""

from pathlib import Path
from typing import Any

from torchvision.datasets import FashionMNIST

from crcd.data.dataset import DataSet
from crcd.data.official import read_official, tensor_images

STATISTICS = ((0.2860,), (0.3530,))
"""Published mean and standard deviation of the training pixels."""


def fashion_mnist(root: Path, image_size: int | None, *, download: bool) -> DataSet:
    """60,000 training and 10,000 test images of 28x28, one channel.

    The published hashes are of the packed files; torchvision checks them when it downloads and unpacks.

    Raises:
        CrcdError: the official files are not under ``root``, are damaged, or could not be downloaded.
    """

    def read(train: bool) -> Any:
        return FashionMNIST(str(root), train=train, download=download)

    files = [(Path(packed).stem, None) for packed, _ in FashionMNIST.resources]
    parts = read_official("fashion-mnist", root, "FashionMNIST/raw", files, read, download=download)
    train, test = (tensor_images(part.data[:, None], part.targets, image_size, "fashion-mnist") for part in parts)
    return DataSet("fashion-mnist", train, test, tuple(FashionMNIST.classes), *STATISTICS)
