"""Data sets by name."""

from pathlib import Path

from crcd.data.cifar import cifar
from crcd.data.dataset import DataSet
from crcd.data.digits import digits
from crcd.data.folder import folder
from crcd.errors import CrcdError, unknown

RECIPES = {"digits": "digits", "cifar10": "cifar100", "cifar100": "cifar100", "folder": "folder"}
"""The recipe that each data set takes when none is named."""


def dataset_names() -> list[str]:
    """Names that ``load_dataset`` knows."""
    return list(RECIPES)


def default_recipe(name: str) -> str:
    """Recipe of a data set.

    Raises:
        CrcdError: no data set has this name.
    """
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
        name: one of ``dataset_names()``.
        root: where its files lie; digits need none.
        image_size: side of the square images; None for the data set's own.
        download: fetch absent files (CIFAR).
        skip_corrupt: leave out images that can't be decoded (folder).

    Raises:
        CrcdError: unknown name, or files missing or damaged.
    """
    default_recipe(name)
    if name == "digits":
        return digits(image_size)
    if root is None:
        raise CrcdError(f"data set {name} needs --data-dir, the folder where its files lie")
    if name == "folder":
        return folder(root, image_size, skip_corrupt=skip_corrupt)
    return cifar(name, root, image_size, download=download)
