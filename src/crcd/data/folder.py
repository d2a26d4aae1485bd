"""A folder of photographs: root/train/CLASS/* and root/val/CLASS/*."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

from crcd.data.dataset import DataSet, FolderImages, Images, TensorImages
from crcd.data.decode import CorruptImageError, decode
from crcd.errors import CrcdError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MEMORY_BUDGET = 2 * 1024**3
"""Bytes of pixels up to which the images are decoded once and kept in memory."""

log = logging.getLogger(__name__)


def folder(root: Path, image_size: int | None, *, skip_corrupt: bool) -> DataSet:
    """Images of any size and mode as RGB squares of ``image_size`` (64), in the layout of torchvision's ImageFolder.

    Raises:
        CrcdError: the layout is not this, a class is empty or alone, or images are corrupt and not to be skipped.
    """
    size = image_size or 64
    train_classes, train = _list(root / "train")
    val_classes, val = _list(root / "val")
    if train_classes != val_classes:
        differ = sorted(set(train_classes) ^ set(val_classes))
        raise CrcdError(
            f"{root}: train and val have different classes ({', '.join(differ[:5])}): give both the same class folders"
        )
    if len(train_classes) < 2:
        raise CrcdError(f"{root}: there is one class only ({train_classes[0]}): a classifier needs two or more")
    in_memory = (len(train) + len(val)) * 3 * size * size <= MEMORY_BUDGET
    return DataSet(
        name="folder",
        train=_load(train, size, root / "train", in_memory=in_memory, skip_corrupt=skip_corrupt),
        test=_load(val, size, root / "val", in_memory=in_memory, skip_corrupt=skip_corrupt),
        class_names=tuple(train_classes),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )


def _list(part: Path) -> tuple[list[str], list[tuple[str, int]]]:
    """Class names and (path, class) of the images of one split."""
    if not part.is_dir():
        raise CrcdError(f"{part} is missing: put images into train/CLASS/ and val/CLASS/ of the folder of --data-dir")
    try:
        classes, number = find_classes(str(part))
        return classes, make_dataset(str(part), number, extensions=IMG_EXTENSIONS)
    except FileNotFoundError as error:
        raise CrcdError(f"{part}: {str(error).split('. ')[0]}; each class needs a folder with images") from error


def _load(samples: list[tuple[str, int]], size: int, part: Path, *, in_memory: bool, skip_corrupt: bool) -> Images:
    """Images of one split; they are all decoded here if they are to stay in memory, or the corrupt ones be known."""
    paths = [Path(path) for path, _ in samples]
    labels = torch.tensor([label for _, label in samples])
    if not (in_memory or skip_corrupt):
        return FolderImages(paths, labels, size)
    image_NCHW = torch.empty(len(paths) if in_memory else 0, 3, size, size, dtype=torch.uint8)

    def read(i: int) -> bool:
        try:
            image = decode(paths[i], size)
        except CorruptImageError:
            return False
        if in_memory:
            image_NCHW[i] = image
        return True

    console = Console(stderr=True)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        decoding = threads.map(read, range(len(paths)))
        shown = track(decoding, f"reading {part}", len(paths), console=console, disable=not console.is_terminal)
        readable = torch.tensor(list(shown))
    images = TensorImages(image_NCHW, labels) if in_memory else FolderImages(paths, labels, size)
    if readable.all():
        return images
    corrupt = [path for path, good in zip(paths, readable.tolist(), strict=True) if not good]
    names = ", ".join(str(path) for path in corrupt[:3])
    found = f"{part}: {len(corrupt)} of {len(paths)} images can't be read ({names}{', ...' if corrupt[3:] else ''})"
    if not skip_corrupt:
        raise CrcdError(f"{found}: mend them, or pass --skip-corrupt to leave them out")
    if len(labels[readable].unique()) < len(labels.unique()):
        raise CrcdError(f"{found}, which leaves a class without images: mend them, or remove the class from both parts")
    log.warning("%s; left out", found)
    return images.take(readable.nonzero()[:, 0])
