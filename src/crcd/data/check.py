"""Whether a data set is what it should be."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from crcd.data.dataset import UNLABELLED, Images, known_labels
from crcd.data.decode import CorruptImageError, open_rgb
from crcd.data.encoded import EncodedImages, in_threads
from crcd.data.folder import Part, faults, folder_parts
from crcd.data.hub import PREFIX, hub_parts
from crcd.data.imagenet import WHERE_TO_GET, imagenet_parts, needed_archives
from crcd.data.listed import listed_parts
from crcd.data.official import first_fault
from crcd.data.registry import default_recipe, load_dataset
from crcd.data.shards import shard_parts
from crcd.data.tiny_imagenet import is_original, tiny_imagenet_parts
from crcd.errors import CrcdError

PARTS: dict[str, Callable[[Path], tuple[Part, Part]]] = {
    "folder": folder_parts,
    "list": listed_parts,
    "shards": shard_parts,
    "tiny-imagenet": tiny_imagenet_parts,
    "imagenet": imagenet_parts,
}
"""The data sets of image files, and how their files are listed."""
IMAGE_COUNTS = {"fashion-mnist": (60_000, 10_000), "tiny-imagenet": (100_000, 10_000), "imagenet": (1_281_167, 50_000)}
"""Numbers of images in the parts of the data sets whose unpacked files have no published hashes."""
SHOWN = 3
"""Pairs of copies that are named of each two parts."""


class Section(NamedTuple):
    """One part of a data set: what it is called, its classes and its images."""

    name: str
    classes: Sequence[str]
    images: Images


class Look(NamedTuple):
    """What is seen of a readable file: hash of its content, and width and height of its picture."""

    digest: bytes
    size: tuple[int, int]


class Files(NamedTuple):
    """The files of one part and what is seen of each; None for those that are no readable image."""

    name: str
    images: EncodedImages
    looks: Sequence[Look | None]


@dataclass
class Report:
    """What was found.

    Attributes:
        title: which data set it is, and where.
        lines: what there is.
        remarks: what may be meant, but had better be known.
        faults: what keeps it from being used.
    """

    title: str
    lines: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def check(name: str, root: Path | None, *, read: bool = True) -> Report:
    """What lies in a folder under the name of a data set. Nothing is written there, but where the hub's are kept.

    Args:
        name: of a data set.
        root: where it lies, as for ``load_dataset``.
        read: decode every file, and look for copies. Files whose hashes are published are read in any case.

    Raises:
        CrcdError: there is no such data set, or no such folder.
    """
    default_recipe(name)
    if root is None and name != "digits" and not name.startswith(PREFIX):
        raise CrcdError(f"data set {name} needs --data-dir, the folder where its files lie")
    if root is not None and not root.is_dir() and not name.startswith(PREFIX):
        raise CrcdError(f"{root} is no folder")
    report = Report(name if root is None else f"{name} in {root}")
    try:
        sections = _sections(name, root, report)
    except CrcdError as error:
        report.faults.append(str(error))
        return report
    files: list[Files] = []
    for section in sections:
        report.lines.append(_census(section))
        if not isinstance(section.images, EncodedImages):
            report.lines.append(f"  {'x'.join(map(str, section.images.shape[1:]))} pixels")
        elif read:
            files.append(_read(section.name, section.images, report))
    for section, number in zip(sections, IMAGE_COUNTS.get(name, ()), strict=False):
        if len(section.images) != number:
            report.remarks.append(f"{section.name} has {len(section.images):,} images, {number:,} are published")
    report.remarks += _copies(files)
    return report


def _sections(name: str, root: Path | None, report: Report) -> list[Section]:
    """Parts of the data set; faults that leave them readable go into the report."""
    if name.startswith(PREFIX):
        train, test, classes = hub_parts(name.removeprefix(PREFIX), root, 64)
        return [Section(images.split, classes, images) for images in (train, test)]
    if name in PARTS:
        assert root is not None
        if name == "imagenet" and (packed := _packed(root)):
            report.lines += packed
            return []
        parts = PARTS[name](root)
        report.faults += faults(parts)
        if name == "tiny-imagenet":
            report.lines.append(f"layout: {'as published' if is_original(root) else 'val sorted into class folders'}")
        return [Section(part.where.name, part.classes, part.images(64)) for part in parts]
    data = load_dataset(name, root)
    return [Section("train", data.class_names, data.train), Section("test", data.class_names, data.test)]


def _packed(root: Path) -> list[str]:
    """Which parts of ImageNet are there as archives only.

    Raises:
        CrcdError: an archive of such a part is missing or damaged.
    """
    packed = [part for part in ("train", "val") if not (root / part).is_dir()]
    for part in packed:
        if fault := first_fault(root, needed_archives(root, part)):
            raise CrcdError(f"{root}: {part} is not unpacked, and {fault}: {WHERE_TO_GET}")
    return [f"{part}: its archive is as published; crcd data fetch imagenet unpacks it" for part in packed]


def _census(section: Section) -> str:
    name, classes, images = section
    labels = known_labels(images)
    sizes = torch.bincount(labels, minlength=len(classes))
    least, most = int(sizes.argmin()), int(sizes.argmax())
    each = f"{sizes[least]} each"
    if sizes[least] != sizes[most]:
        each = f"{sizes[least]} ({classes[least]}) to {sizes[most]} ({classes[most]}) each"
    unlabelled = f", and {len(images) - len(labels):,} unlabelled" if len(labels) < len(images) else ""
    return f"{name}: {len(labels):,} images of {len(classes)} classes, {each}{unlabelled}"


def _read(part: str, images: EncodedImages, report: Report) -> Files:
    """Look at all files of a part."""

    def look(i: int) -> Look | None:
        try:
            encoded = images.content(i)
            return Look(sha256(encoded).digest(), open_rgb(BytesIO(encoded)).size)
        except (CorruptImageError, OSError):
            return None

    looks = list(in_threads(look, len(images), f"reading {part}"))
    report.faults += [f"{images.name(i)} is not a readable image" for i, seen in enumerate(looks) if seen is None]
    sizes = [seen.size for seen in looks if seen is not None]
    if len(set(sizes)) == 1:
        report.lines.append(f"  {sizes[0][0]}x{sizes[0][1]} pixels")
    elif sizes:
        for side, lengths in zip(("width", "height"), zip(*sizes, strict=True), strict=True):
            spread = f"{min(lengths)} / {median(lengths):.0f} / {max(lengths)}"
            report.lines.append(f"  {side}: {spread} pixels (min / median / max)")
    return Files(part, images, looks)


def _copies(parts: Sequence[Files]) -> list[str]:
    """Remarks on files that have the content of an earlier one, of their own part or of another."""
    first_place: dict[bytes, tuple[Files, int]] = {}
    pairs: dict[tuple[str, str], list[str]] = defaultdict(list)
    for part in parts:
        for i, seen in enumerate(part.looks):
            if seen is None:
                continue
            first, j = first_place.setdefault(seen.digest, (part, i))
            if (first, j) != (part, i):
                classes = {int(part.images.labels[i]), int(first.images.labels[j])}
                other = "" if len(classes - {UNLABELLED}) < 2 else ", of another class"
                pairs[part.name, first.name].append(f"{part.images.name(i)} = {first.images.name(j)}{other}")
    return [
        f"{part} has copies of files of {first}: {len(found)} "
        f"({'; '.join(found[:SHOWN])}{'; ...' if found[SHOWN:] else ''})"
        for (part, first), found in pairs.items()
    ]
