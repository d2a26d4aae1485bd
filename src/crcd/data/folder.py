"""A folder of photographs: root/train/CLASS/*, root/val/CLASS/* and perhaps root/unlabelled/*; or root/CLASS/*."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, is_image_file, make_dataset

from crcd.data.dataset import UNLABELLED, DataSet, Statistics
from crcd.data.encoded import EncodedImages, FolderImages, load_encoded
from crcd.data.unread import files_below, unread
from crcd.errors import CrcdError, few

IMAGENET_STATISTICS: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""ImageNet's, with which torchvision's and timm's weights were trained."""
UNLABELLED_FOLDER = "unlabelled"
SCORED = 5
"""Without a folder to score on, one of so many images of a class is scored."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """Which files are the images of one part of a data set, and of which classes.

    Attributes:
        where: its folder, or the list that names them.
        classes: names of the classes, in the order of their numbers.
        samples: path and class number of each image, ``UNLABELLED`` where its class is not known.
    """

    where: Path
    classes: Sequence[str]
    samples: Sequence[tuple[str, int]]

    def images(self, size: int) -> EncodedImages:
        """The images as squares of ``size``."""
        paths, labels = [Path(path) for path, _ in self.samples], [label for _, label in self.samples]
        return FolderImages(paths, torch.tensor(labels, dtype=torch.int64), size)


def folder(root: Path, image_size: int | None, *, skip_corrupt: bool) -> DataSet:
    """Images of any size and mode as RGB squares of ``image_size`` (64), in the layout of torchvision's ImageFolder.

    Images at any depth below ``root/unlabelled``, if it is there, are learned from without a label. Where there is no
    ``root/val``, every fifth image of each class is scored and not learned from, and that is said; where there is no
    ``root/train`` either, classes are the folders of ``root``.

    Raises:
        CrcdError: the layout is not this, a class is empty or alone, or images are corrupt and not to be skipped.
    """
    parts = folder_parts(root)
    classes = tuple(parts[0].classes)
    size = image_size or 64
    return from_parts("folder", parts, classes, size, IMAGENET_STATISTICS, skip_corrupt=skip_corrupt)


def folder_parts(root: Path) -> tuple[Part, Part]:
    """The parts to learn from and to score on, whether or not they belong together (``faults`` says).

    The training part has the images of ``root/unlabelled``, too.

    Raises:
        CrcdError: there is no training part, one has no class folder, or unlabelled images lie in it.
    """
    flat = is_flat(root)
    for part in (root,) if flat else (root / "train", root / "val", root / UNLABELLED_FOLDER):
        _say_unread(part)
    if (root / "val").is_dir():
        train, val = list_part(root / "train"), list_part(root / "val")
    else:
        train, val = _every_fifth(list_part(root, flat=True) if flat else list_part(root / "train"))
        _say_split(root)
    unlabelled = (path for path in sorted((root / UNLABELLED_FOLDER).rglob("*")) if is_image_file(path.name))
    samples = [*train.samples, *((str(path), UNLABELLED) for path in unlabelled)]
    return replace(train, samples=samples), val


def is_flat(root: Path) -> bool:
    """Whether class folders with images lie in a folder itself, in place of train/ and val/."""
    if any((root / part).is_dir() for part in ("train", "val")):
        return False
    folders = (path for path in root.glob("*") if path.is_dir() and path.name != UNLABELLED_FOLDER)
    return any(is_image_file(path.name) for folder in folders for path in folder.glob("*"))


@cache
def _say_unread(part: Path) -> None:
    if what := unread(files_below(part)):
        log.warning("%s: %s", part, what)


@cache
def _say_split(root: Path) -> None:
    log.warning("%s has no val/: every fifth image of each class is scored, the others are learned from", root)


def _every_fifth(part: Part) -> tuple[Part, Part]:
    """The part without, and only with, the third of every five images of a class."""
    seen: Counter[int] = Counter()
    kept: list[tuple[str, int]] = []
    scored: list[tuple[str, int]] = []
    for path, label in part.samples:
        (scored if seen[label] % SCORED == SCORED // 2 else kept).append((path, label))
        seen[label] += 1
    return replace(part, samples=kept), Part(part.where / "(every fifth image)", part.classes, scored)


def list_part(part: Path, *, flat: bool = False) -> Part:
    """Images below ``part/CLASS``.

    Args:
        part: the folder.
        flat: it is that of the whole data set, where the folder of the unlabelled images is beside the classes.

    Raises:
        CrcdError: the folder is missing, has no class folder, or has that of the unlabelled images in it.
    """
    if not part.is_dir():
        raise CrcdError(
            f"{part} is missing: put images into train/CLASS/ and val/CLASS/, or into CLASS/, of the folder"
        )
    try:
        classes = find_classes(str(part))[0]
    except FileNotFoundError as error:
        raise CrcdError(f"{part} holds no class folder: each class needs a folder with images") from error
    if UNLABELLED_FOLDER in classes:
        if not flat:
            raise CrcdError(f"{part / UNLABELLED_FOLDER} is no class: move it beside {part.name}/")
        classes.remove(UNLABELLED_FOLDER)
    number = {name: i for i, name in enumerate(classes)}
    samples = make_dataset(str(part), number, extensions=IMG_EXTENSIONS, allow_empty=True)
    loops = {folder: _loops(folder, part) for folder in {Path(path).parent for path, _ in samples}}
    return Part(part, classes, [(path, label) for path, label in samples if not loops[Path(path).parent]])


def _loops(folder: Path, part: Path) -> bool:
    """Whether the way to a folder leads through a link to one that it has passed before."""
    way = [folder, *folder.parents]
    way = way[: way.index(part) + 1]
    return any(place.is_symlink() and place.resolve() in {p.resolve() for p in place.parents} for place in way)


def faults(parts: tuple[Part, Part]) -> list[str]:
    """Why the parts are no data set to learn from and to score on; empty if they are."""
    train, test = parts
    found = []
    if twice := [name for name, count in Counter(train.classes).items() if count > 1]:
        found.append(f"{train.where}: several classes are called {few(twice)}: give each a name of its own")
    for part in parts:
        full = {label for _, label in part.samples}
        empty = [name for number, name in enumerate(part.classes) if number not in full]
        if empty:
            found.append(f"{part.where}: no image of {few(empty)}: each class needs images")
    if set(train.classes) != set(test.classes):
        differ = sorted(set(train.classes) ^ set(test.classes))
        found.append(
            f"{train.where} and {test.where} have different classes ({few(differ)}): give both the same class folders"
        )
    elif len(train.classes) == 1:
        found.append(f"{train.where}: there is one class only ({train.classes[0]}): a classifier needs two or more")
    return found


def from_parts(
    name: str,
    parts: tuple[Part, Part],
    class_names: tuple[str, ...],
    size: int,
    statistics: Statistics,
    *,
    skip_corrupt: bool,
) -> DataSet:
    """The data set of two parts of one list of classes.

    Raises:
        CrcdError: the parts have ``faults``, or images are corrupt and not to be skipped.
    """
    if found := faults(parts):
        raise CrcdError(found[0])
    images = {str(part.where): part.images(size) for part in parts}
    train, test = load_encoded(images, skip_corrupt=skip_corrupt)
    return DataSet(name, train, test, class_names, *statistics)
