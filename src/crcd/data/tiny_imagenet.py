"""Tiny ImageNet: 200 of ImageNet's classes at 64x64, as published by Stanford's CS231n or sorted into folders."""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from torchvision.datasets.utils import download_url

from crcd.data.dataset import DataSet
from crcd.data.folder import Part, from_parts, list_part
from crcd.data.wordnet import class_names
from crcd.errors import CrcdError, few

BASE_FOLDER = "tiny-imagenet-200"
ARCHIVE = f"{BASE_FOLDER}.zip"
URL = f"https://cs231n.stanford.edu/{ARCHIVE}"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
"""As the loaders of Avalanche and others of the field have it; Stanford gives none."""
ANNOTATIONS = "val/val_annotations.txt"
STATISTICS = ((0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821))
"""Published mean and standard deviation of the training pixels, by channel.

The deviations of 0.23 that are quoted too are means of each image's own.
"""


def tiny_imagenet(root: Path, image_size: int | None, *, download: bool, skip_corrupt: bool) -> DataSet:
    """100,000 training images, and the 10,000 validation images as test images; the published test has no labels.

    Raises:
        CrcdError: files are missing, or don't fit together, or could not be downloaded, or are corrupt.
    """
    if download:
        fetch_tiny_imagenet(root)
    parts = tiny_imagenet_parts(root)
    names = class_names(parts[0].classes, _words(base_folder(root) / "words.txt"))
    return from_parts("tiny-imagenet", parts, names, image_size or 64, STATISTICS, skip_corrupt=skip_corrupt)


def base_folder(root: Path) -> Path:
    """``root/tiny-imagenet-200`` if that is there, else ``root``."""
    return root / BASE_FOLDER if (root / BASE_FOLDER).is_dir() else root


def is_original(root: Path) -> bool:
    """Whether the validation images lie unsorted beside a list of their classes, as published."""
    return (base_folder(root) / ANNOTATIONS).is_file() or (base_folder(root) / "val/images").is_dir()


def tiny_imagenet_parts(root: Path) -> tuple[Part, Part]:
    """Training and validation images in either layout.

    Raises:
        CrcdError: files are missing, or don't fit together.
    """
    base = base_folder(root)
    if not (base / "train").is_dir():
        raise CrcdError(
            f"tiny-imagenet is not in {root}: fetch it with crcd data fetch tiny-imagenet --data-dir {root}, or name "
            f"the folder that holds {BASE_FOLDER} with --data-dir"
        )
    train = list_part(base / "train")
    listed = _lines(base / "wnids.txt") if (base / "wnids.txt").is_file() else train.classes
    if differ := sorted(set(listed) ^ set(train.classes)):
        raise CrcdError(f"{base}: wnids.txt and train have different classes ({few(differ)}): unpack {ARCHIVE} again")
    return train, _annotated(base, train.classes) if is_original(root) else list_part(base / "val")


def fetch_tiny_imagenet(root: Path) -> None:
    """Download, check and unpack the published archive, unless the data set is there.

    An archive that is there already is not downloaded again. It is unpacked aside and moved into place at the end.

    Raises:
        CrcdError: the archive could not be downloaded, or has files outside its folder.
    """
    if (base_folder(root) / "train").is_dir():
        return
    try:
        download_url(URL, root, md5=MD5)
    except (OSError, RuntimeError) as error:
        raise CrcdError(f"{URL} could not be downloaded ({error}): put {ARCHIVE} into {root}") from error
    with TemporaryDirectory(dir=root, prefix=".unpacking-") as aside, zipfile.ZipFile(root / ARCHIVE) as archive:
        for path in map(Path, archive.namelist()):
            if path.parts[0] != BASE_FOLDER or ".." in path.parts:
                raise CrcdError(f"{root / ARCHIVE} has a file outside {BASE_FOLDER} ({path}): remove the archive")
        archive.extractall(aside)
        os.replace(Path(aside) / BASE_FOLDER, root / BASE_FOLDER)


def _annotated(base: Path, classes: Sequence[str]) -> Part:
    """Validation images whose classes are listed: file, WNID and box in each line."""
    where = base / "val"
    number = {wnid: i for i, wnid in enumerate(classes)}
    samples = []
    for place, line in enumerate(_lines(base / ANNOTATIONS), start=1):
        file, wnid = (*line.split("\t"), "", "")[:2]
        if wnid not in number:
            raise CrcdError(
                f"{base / ANNOTATIONS}, line {place}: '{wnid}' is no class of train: unpack {ARCHIVE} again"
            )
        samples.append((str(where / "images" / file), number[wnid]))
    present = {entry.path for entry in os.scandir(where / "images")} if (where / "images").is_dir() else set()
    differ = sorted(present ^ {path for path, _ in samples})
    if differ:
        raise CrcdError(
            f"{where}: images and {ANNOTATIONS} differ in {len(differ)} files ({differ[0]}): unpack {ARCHIVE} again"
        )
    return Part(where, classes, samples)


def _words(path: Path) -> dict[str, str]:
    """Synonyms by WNID; none if there is no such file."""
    lines = _lines(path) if path.is_file() else []
    return {wnid: words for wnid, _, words in (line.partition("\t") for line in lines)}


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, UnicodeDecodeError) as error:
        raise CrcdError(f"{path} cannot be read ({error}): unpack {ARCHIVE} again") from error
