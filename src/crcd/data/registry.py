"""Data sets by name."""

from pathlib import Path

from crcd.data.cifar import cifar
from crcd.data.dataset import DataSet
from crcd.data.digits import digits
from crcd.data.fashion_mnist import fashion_mnist
from crcd.data.folder import folder
from crcd.data.hub import PREFIX, hub
from crcd.data.imagenet import imagenet
from crcd.data.listed import listed
from crcd.data.shards import shards
from crcd.data.stl10 import stl10
from crcd.data.tiny_imagenet import tiny_imagenet
from crcd.errors import CrcdError, unknown

RECIPES = {
    "digits": "digits",
    "cifar10": "cifar100",
    "cifar100": "cifar100",
    "fashion-mnist": "cifar100",
    "stl10": "stl10",
    "tiny-imagenet": "tiny-imagenet",
    "imagenet": "imagenet/resnet34-resnet18",
    "folder": "folder",
    "list": "folder",
    "shards": "folder",
}
"""The recipe that each data set takes when none is named."""
OF_ONES_OWN = ("folder", "list", "shards")
"""Names that stand for any images which lie so."""
TOLD_BY_NAME = ("digits", "cifar10", "cifar100", "fashion-mnist", "stl10", "imagenet")
"""Data sets whose name says which images they are; of the others there are several, or a part of one."""


def dataset_names() -> list[str]:
    """Names that ``load_dataset`` knows, beside ``hf/NAME`` for those of the Hugging Face hub."""
    return list(RECIPES)


def default_recipe(name: str) -> str:
    """Recipe of a data set.

    Raises:
        CrcdError: no data set has this name.
    """
    if name.removeprefix(PREFIX) not in ("", name):
        return RECIPES["folder"]
    if name not in RECIPES:
        raise unknown("data set", name, RECIPES)
    return RECIPES[name]


def load_dataset(
    name: str,
    root: Path | None,
    *,
    image_size: int | None = None,
    download: bool = False,
    skip_corrupt: bool = False,
) -> DataSet:
    """A data set by name.

    Args:
        name: one of ``dataset_names()``, or ``hf/NAME``.
        root: where its files lie; digits need none, and the hub's have a place of their own if it is None.
        image_size: side of the square images; None for the data set's own.
        download: fetch absent files, where they may be had without signing up; the hub's are fetched in any case.
        skip_corrupt: leave out image files that can't be decoded.

    Raises:
        CrcdError: unknown name, or files missing or damaged.
    """
    default_recipe(name)
    if name.startswith(PREFIX):
        return hub(name.removeprefix(PREFIX), root, image_size, skip_corrupt=skip_corrupt)
    if name == "digits":
        return digits(image_size)
    if root is None:
        raise CrcdError(f"data set {name} needs --data-dir, the folder where its files lie")
    match name:
        case "fashion-mnist":
            return fashion_mnist(root, image_size, download=download)
        case "stl10":
            return stl10(root, image_size, download=download)
        case "tiny-imagenet":
            return tiny_imagenet(root, image_size, download=download, skip_corrupt=skip_corrupt)
        case "imagenet":
            return imagenet(root, image_size, skip_corrupt=skip_corrupt)
        case "list":
            return listed(root, image_size, skip_corrupt=skip_corrupt)
        case "shards":
            return shards(root, image_size, skip_corrupt=skip_corrupt)
        case "folder":
            return folder(root, image_size, skip_corrupt=skip_corrupt)
    return cifar(name, root, image_size, download=download)
