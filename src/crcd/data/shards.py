"""WebDataset's shards, tar files of images and labels: indexed once, so that an image can be read by its number."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from crcd.data.dataset import UNLABELLED, DataSet
from crcd.data.decode import CorruptImageError
from crcd.data.encoded import EncodedImages, files_digest, in_threads
from crcd.data.folder import IMAGENET_STATISTICS, Part, from_parts
from crcd.data.listed import ordered_labels
from crcd.data.shard_index import IMAGE_KINDS, Sample, read_shard
from crcd.errors import CrcdError

SHARD = re.compile(r".+\.(tar|tar\.(gz|bz2|xz|zst)|tgz)")
CLASS_FILES = ("classes.txt", "classnames.txt")
"""Names of the classes, one a line, in the order of their numbers."""


class ShardImages(EncodedImages):
    """Members of tar files.

    A read opens the shard and closes it again, so that nothing is shared between threads or processes, and no number of
    shards is too large.

    ``digest`` is of path, length and time of change of each shard, of the members' places there, and of the size to
    which they are decoded.

    Args:
        shards: the tar files.
        names: of the members, for messages, [N].
        place_N3: number of the shard, offset and length of each member, int64.
        labels: classes, int64, [N].
        size: side of the squares, pixels.
    """

    def __init__(
        self, shards: Sequence[Path], names: Sequence[str], place_N3: Tensor, labels: Tensor, size: int
    ) -> None:
        super().__init__(labels, size)
        self.shards, self.names, self.place_N3 = shards, names, place_N3

    def file(self, i: int) -> BytesIO:
        shard, offset, length = self.place_N3[i].tolist()
        try:
            with self.shards[shard].open("rb", buffering=0) as file:
                file.seek(offset)
                return BytesIO(file.read(length))
        except OSError as error:
            raise CorruptImageError(f"{self.name(i)} can't be read ({error.strerror})") from error

    def name(self, i: int) -> str:
        return f"{self.shards[int(self.place_N3[i, 0])]}: {self.names[i]}"

    def take(self, index: Tensor) -> Self:
        names = [self.names[i] for i in index.tolist()]
        return type(self)(self.shards, names, self.place_N3[index], self.labels[index], self.size)

    def digest(self) -> str:
        places = hashlib.sha256(self.place_N3.numpy().data).hexdigest()
        return files_digest(f"{self.size} {places}", self.shards)


@dataclass(frozen=True)
class ShardPart(Part):
    """One part of a data set in shards; ``samples`` have the names of members in place of paths.

    Attributes:
        shards: its tar files.
        place_N3: number of the shard, offset and length of each image.
    """

    shards: Sequence[Path]
    place_N3: Tensor

    def images(self, size: int) -> ShardImages:
        names, labels = [name for name, _ in self.samples], [label for _, label in self.samples]
        return ShardImages(self.shards, names, self.place_N3, torch.tensor(labels, dtype=torch.int64), size)


def shards(root: Path, image_size: int | None, *, skip_corrupt: bool) -> DataSet:
    """Images of any size and mode as RGB squares of ``image_size`` (64), of train-*.tar and val-*.tar or train/*.tar.

    A sample is an image and, in a member of the same key, its label: KEY.cls and KEY.txt are the label, KEY.json has
    it as "label" or "cls". Labels are lines of classes.txt (or classnames.txt), if there is one, or numbers of its
    lines from 0 on; else classes are as in lists, in the order of their numbers, if all are whole numbers, else of
    their texts. A training image without a label, or with -1, is learned from without one. Images are numbered shard
    by shard, in the order of the members.

    Raises:
        CrcdError: shards are missing, compressed or damaged, a key is in two of them, a label can't be read or is none
            of train, an image of val has none, a class has no images, or images are corrupt and not to be skipped.
    """
    parts = shard_parts(root)
    classes, size = tuple(parts[0].classes), image_size or 64
    return from_parts("shards", parts, classes, size, IMAGENET_STATISTICS, skip_corrupt=skip_corrupt)


def shard_parts(root: Path) -> tuple[ShardPart, ShardPart]:
    """What the shards of training and validation images hold; errors as of ``shards``, but for corrupt images.

    This passes over all members of every shard, and reads their labels.
    """
    found = {part: _find(root, part) for part in ("train", "val")}
    for part, files in found.items():
        if not files:
            raise CrcdError(f"{root} has no shards of {part}: name them {part}-*.tar, or put them into {part}/")
    train, val = (_read(part, files) for part, files in found.items())
    labels = {sample.label for shard in train for sample in shard if sample.label}
    file = next((root / name for name in CLASS_FILES if (root / name).is_file()), None)
    classes = ordered_labels(labels) if file is None else _class_names(file)
    numbers = {name: i for i, name in enumerate(classes)}
    if not labels <= numbers.keys() and all(label.isdecimal() for label in labels):
        numbers = {str(i): i for i in range(len(classes))}
    none = "the label of no training image" if file is None else f"no class of {file}"
    return (
        _part(root / "train", found["train"], train, classes, numbers | {"": UNLABELLED}, none),
        _part(root / "val", found["val"], val, classes, numbers, none),
    )


def has_shards(root: Path) -> bool:
    """Whether a folder has shards of training images, and no class folders beside them."""
    return bool(_find(root, "train")) and not any(path.is_dir() for path in (root / "train").glob("*"))


def _read(part: str, files: Sequence[Path]) -> list[list[Sample]]:
    return list(in_threads(lambda i: read_shard(files[i]), len(files), f"indexing {part}"))


def _find(root: Path, part: str) -> list[Path]:
    files = [*root.glob(f"{part}-*"), *(root / part).glob("*")]
    return sorted(path for path in files if SHARD.fullmatch(path.name) and path.is_file())


def _class_names(path: Path) -> list[str]:
    """The lines of a file that are not empty."""
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise CrcdError(f"{path} can't be read ({error}): write a class name a line, in UTF-8") from error
    if len(set(names)) < len(names) or not names:
        raise CrcdError(f"{path} names no class, or one twice: write each class once, in the order of its number")
    return names


def _part(
    where: Path,
    files: Sequence[Path],
    found: Sequence[Sequence[Sample]],
    classes: Sequence[str],
    numbers: dict[str, int],
    none: str,
) -> ShardPart:
    """The part of the samples of its shards."""
    home: dict[str, Path] = {}
    for shard, samples in zip(files, found, strict=True):
        for sample in samples:
            if (other := home.setdefault(sample.key, shard)) is not shard:
                raise CrcdError(f"{other} and {shard} both have a sample {sample.key}: give each a key of its own")
            if sample.label not in numbers:
                fault = f"'{sample.label}' is {none}" if sample.label else "it has no label"
                raise CrcdError(f"{shard}: {sample.name}: {fault}")
    if not home:
        kinds = ", ".join(IMAGE_KINDS)
        raise CrcdError(f"{where}: no shard holds an image: members are called KEY.jpg or so ({kinds})")
    placed = [(i, sample) for i, samples in enumerate(found) for sample in samples]
    place_N3 = torch.tensor([(i, sample.offset, sample.length) for i, sample in placed])
    return ShardPart(where, classes, [(sample.name, numbers[sample.label]) for _, sample in placed], files, place_N3)
