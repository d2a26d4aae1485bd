"""What one of WebDataset's shards holds, a tar file of images and labels."""

import json
import re
import tarfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

from torchvision.datasets.folder import IMG_EXTENSIONS

from crcd.data.dataset import UNLABELLED
from crcd.errors import CrcdError

COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}
"""How compressed files begin, and what unpacks them."""
MEMBER = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)")
"""WebDataset's key, up to the first dot of the file name, and kind of a sample's member."""
IMAGE_KINDS = tuple(extension.removeprefix(".") for extension in IMG_EXTENSIONS)
LABEL_KINDS = ("cls", "json", "txt")
"""Kinds of members with a label; the first that has one is taken."""
LABEL_FIELDS = ("label", "cls")


class Sample(NamedTuple):
    """An image of a shard.

    Attributes:
        key: what the members of the sample are called, up to their kind.
        name: of the member that is the image.
        offset: of the image's first byte in the shard.
        length: of the image, bytes.
        label: its class, as it is written; empty if it has none.
    """

    key: str
    name: str
    offset: int
    length: int
    label: str


def read_shard(shard: Path) -> list[Sample]:
    """The images of a shard, in their order, with their labels.

    Raises:
        CrcdError: it is compressed or damaged, a sample has two images or two labels of a kind, or one without image,
            or a label can't be read.
    """
    members: dict[str, dict[str, tarfile.TarInfo]] = {}
    try:
        with shard.open("rb") as file:
            _refuse_compressed(shard, file.read(8))
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    _sort_in(shard, member, members)
                file.seek(archive.offset)
                if any(file.read(tarfile.BLOCKSIZE) or b"\1"):  # where the library stops without a word
                    raise tarfile.ReadError("its end is missing")
                samples = (_sample(shard, file, key, kinds) for key, kinds in members.items())
                return [sample for sample in samples if sample is not None]
    except (tarfile.TarError, OSError) as error:
        last = f" after {list(members)[-1]}" if members else ""
        raise CrcdError(f"{shard} is damaged or cut short{last} ({error}): write it anew, or remove it") from error


def _refuse_compressed(shard: Path, head: bytes) -> None:
    for beginning, tool in COMPRESSED.items():
        if head.startswith(beginning):
            raise CrcdError(
                f"{shard} is compressed, so that no image can be read by its place: unpack it with {tool} into a file "
                "that ends in .tar, and remove this one"
            )


def _sort_in(shard: Path, member: tarfile.TarInfo, members: dict[str, dict[str, tarfile.TarInfo]]) -> None:
    match = MEMBER.fullmatch(member.name)
    if match is None or not member.isreg():
        return
    key, kind = match[1], match[2].lower()
    if kind in IMAGE_KINDS:
        kind = "image"
    elif kind not in LABEL_KINDS:
        return
    if other := members.setdefault(key, {}).get(kind):
        raise CrcdError(f"{shard}: {other.name} and {member.name} are of one sample: give each a key of its own")
    members[key][kind] = member


def _sample(shard: Path, file: BinaryIO, key: str, kinds: dict[str, tarfile.TarInfo]) -> Sample | None:
    """None where there is no image, nor a member that is nothing but its label."""
    image = kinds.get("image")
    if image is None and "cls" in kinds:
        raise CrcdError(
            f"{shard}: {kinds['cls'].name} is the label of no image ({key}.jpg or so): add that to the shard"
        )
    if image is None:
        return None
    label = ""
    for kind in LABEL_KINDS:
        if kind in kinds and not label:
            file.seek(kinds[kind].offset_data)
            try:
                label = _label(kind, file.read(kinds[kind].size))
            except ValueError as error:
                raise CrcdError(f"{shard}: {kinds[kind].name} is no label ({error}): write it anew") from error
    return Sample(key, image.name, image.offset_data, image.size, label)


def _label(kind: str, content: bytes) -> str:
    """The label in a member; empty where that says that there is none."""
    text = content.decode("utf-8")
    if kind == "json":
        known = json.loads(text)
        if not isinstance(known, dict):
            raise ValueError("it is no mapping")
        label = next((known[name] for name in LABEL_FIELDS if known.get(name) is not None), "")
        if not isinstance(label, int | str) or isinstance(label, bool):
            raise ValueError(f"{label!r} is neither a number nor a text")
        text = str(label)
    return text.strip() if text.strip() != str(UNLABELLED) else ""
