"""Which data set a folder holds."""

from pathlib import Path

from torchvision.datasets import CIFAR10, CIFAR100, STL10
from torchvision.datasets.folder import is_image_file
from torchvision.datasets.imagenet import META_FILE

from crcd.data import tiny_imagenet
from crcd.data.decode import open_rgb
from crcd.data.folder import is_flat
from crcd.data.imagenet import ARCHIVES
from crcd.data.listed import has_list
from crcd.data.shards import has_shards
from crcd.data.unread import unread
from crcd.data.wordnet import are_wnids
from crcd.errors import CrcdError

MARKS = {
    "cifar10": CIFAR10.base_folder,
    "cifar100": CIFAR100.base_folder,
    "stl10": STL10.base_folder,
    "fashion-mnist": "FashionMNIST",
    "tiny-imagenet": tiny_imagenet.BASE_FOLDER,
}
"""The folder by which each data set is known."""


def recognise(folder: Path) -> tuple[str, Path]:
    """Name of the data set that lies in a folder, or whose own folder it is, and what to give as ``--data-dir``.

    Raises:
        CrcdError: it is no folder, or holds no data set, or several.
    """
    if not folder.is_dir():
        raise CrcdError(f"{folder} is no folder")
    own = [(name, folder.resolve().parent) for name, mark in MARKS.items() if folder.resolve().name == mark]
    found = own or [(name, folder) for name, mark in MARKS.items() if (folder / mark).is_dir()]
    if not own and (images := _images(folder)):
        found.append((images, folder))
    if not found:
        if what := unread(path.name for path in folder.glob("*/*")):
            raise CrcdError(f"{folder} holds no picture that can be read: {what}")
        raise CrcdError(
            f"{folder} holds no data set: neither train/CLASS/* and val/CLASS/*, nor CLASS/*, nor train.csv and "
            f"val.csv, nor train-*.tar and val-*.tar, nor {', '.join(MARKS.values())}, nor "
            f"{' and '.join(ARCHIVES.values())}"
        )
    if len(found) > 1:
        names = [name for name, _ in found]
        raise CrcdError(
            f"{folder} holds {', '.join(names)}: choose one, as in crcd data check {names[0]} --data-dir {folder}"
        )
    return found[0]


def _images(folder: Path) -> str | None:
    """Which of the data sets of image files it is; None if there are none."""
    if (folder / META_FILE).is_file() or any((folder / file).is_file() for file in ARCHIVES.values()):
        return "imagenet"
    if has_list(folder):
        return "list"
    if has_shards(folder):
        return "shards"
    if is_flat(folder):
        return "folder"
    if not any((folder / part).is_dir() for part in ("train", "val")):
        return None
    if (folder / "wnids.txt").is_file() or tiny_imagenet.is_original(folder):
        return "tiny-imagenet"
    classes = [path for path in (folder / "train").glob("*") if path.is_dir()]
    if not are_wnids([path.name for path in classes]):
        return "folder"
    if len(classes) == 1000:
        return "imagenet"
    first = next((path for path in classes[0].glob("*") if is_image_file(path.name)), None) if classes else None
    return "tiny-imagenet" if len(classes) == 200 and first and _side(first) == (64, 64) else "folder"


def _side(path: Path) -> tuple[int, int] | None:
    try:
        return open_rgb(path).size
    except CrcdError:
        return None
