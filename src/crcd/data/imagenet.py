"""ImageNet-1k of ILSVRC 2012: unpacked, or its official archives, checked and unpacked by torchvision's own loader."""

import logging
import os
import pickle
import tarfile
from pathlib import Path

from torchvision.datasets import ImageNet
from torchvision.datasets.imagenet import ARCHIVE_META, META_FILE, load_meta_file, parse_devkit_archive

from crcd.data.dataset import DataSet
from crcd.data.folder import IMAGENET_STATISTICS, Part, folder_parts, from_parts
from crcd.data.wordnet import class_names
from crcd.errors import CrcdError

ARCHIVES = {part: file for part, (file, _) in ARCHIVE_META.items()}
PAGE = "https://image-net.org/challenges/LSVRC/2012/2012-downloads.php"
WHERE_TO_GET = f"get {', '.join(ARCHIVES.values())} from {PAGE} (after signing up there)"

log = logging.getLogger(__name__)


def imagenet(root: Path, image_size: int | None, *, skip_corrupt: bool) -> DataSet:
    """1,281,167 training images, and the 50,000 validation images as test images, of 224x224.

    Raises:
        CrcdError: neither folders nor archives are there, they are damaged or half unpacked, or images are corrupt.
    """
    unpack(root)
    parts = imagenet_parts(root)
    names = class_names(parts[0].classes, _synonyms(root))
    size = image_size or 224
    return from_parts("imagenet", parts, names, size, IMAGENET_STATISTICS, skip_corrupt=skip_corrupt)


def unpack(root: Path) -> None:
    """Check the archives' published hashes and unpack them into train/WNID and val/WNID, unless these are there.

    Raises:
        CrcdError: a part is there neither unpacked nor as an archive, or an archive is damaged.
    """
    for part in ("train", "val"):
        if (root / part).is_dir():
            continue
        absent = [file for file, _ in needed_archives(root, part) if not (root / file).is_file()]
        if absent:
            raise CrcdError(f"imagenet: {root} has neither {part}/WNID/* nor {' and '.join(absent)}: {WHERE_TO_GET}")
        log.warning("checking and unpacking %s in %s: this takes a while", ARCHIVES[part], root)
        try:
            ImageNet(root, split=part)
        except (RuntimeError, OSError, EOFError, tarfile.TarError, LookupError, ValueError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise CrcdError(f"imagenet: {part} could not be unpacked in {root} ({reason}): {WHERE_TO_GET}") from error


def needed_archives(root: Path, part: str) -> list[tuple[str, str | None]]:
    """Name and published md5 of the archives from which a part is unpacked."""
    return [ARCHIVE_META[part], *([] if (root / META_FILE).is_file() else [ARCHIVE_META["devkit"]])]


def imagenet_parts(root: Path) -> tuple[Part, Part]:
    """What train/WNID and val/WNID hold.

    Raises:
        CrcdError: they are missing, or half unpacked.
    """
    for part in ("train", "val"):
        loose = [entry.name for entry in os.scandir(root / part) if entry.is_file()] if (root / part).is_dir() else []
        if any(name.endswith((".tar", ".JPEG")) for name in loose):
            raise CrcdError(
                f"{root / part} was not unpacked to the end (there is {min(loose)} beside the class folders): remove "
                f"{root / part}, and {ARCHIVES[part]} in {root} will be unpacked anew"
            )
    return folder_parts(root)


def _synonyms(root: Path) -> dict[str, str]:
    """Words of each WNID, from torchvision's extract of the devkit, which is made here if it can be."""
    try:
        if not (root / META_FILE).is_file():
            if not (root / ARCHIVES["devkit"]).is_file() or not os.access(root, os.W_OK):
                return {}
            parse_devkit_archive(root)
        return {wnid: ", ".join(words) for wnid, words in load_meta_file(root)[0].items()}
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, tarfile.TarError) as error:
        raise CrcdError(f"{root}: {ARCHIVES['devkit']} or {META_FILE} is damaged: {WHERE_TO_GET}") from error
