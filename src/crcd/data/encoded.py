"""Images that lie encoded in files: decoded once into memory where they fit, when fetched where they don't."""

import hashlib
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Self, TypeVar

import torch
from rich.console import Console
from torch import Tensor

from crcd.bar import with_bar
from crcd.data.dataset import UNLABELLED, Images, TensorImages
from crcd.data.decode import CorruptImageError, decode
from crcd.errors import CrcdError

MEMORY_BUDGET = 2 * 1024**3
"""Bytes of pixels up to which the images are decoded once and kept in memory."""
BLOCK = 4096
"""Images handed to the threads at a time."""

log = logging.getLogger(__name__)
T = TypeVar("T")


class EncodedImages(ABC):
    """N labelled image files, decoded to RGB squares when fetched.

    Args:
        labels: classes, int64, [N].
        size: side of the squares, pixels.
    """

    def __init__(self, labels: Tensor, size: int) -> None:
        self.labels, self.size = labels, size
        self.shape: tuple[int, int, int] = (3, size, size)

    def __len__(self) -> int:
        return len(self.labels)

    def fetch(self, index_B: Tensor) -> Tensor:
        return torch.stack([decode(self.file(i), self.size, self.name(i)) for i in index_B.tolist()])

    @abstractmethod
    def file(self, i: int) -> Path | BytesIO:
        """Where the file of image i lies, or what is in it."""

    def content(self, i: int) -> bytes:
        """What is in the file of image i."""
        file = self.file(i)
        return file.read_bytes() if isinstance(file, Path) else file.getvalue()

    @abstractmethod
    def name(self, i: int) -> str:
        """What image i is called in messages."""

    @abstractmethod
    def take(self, index: Tensor) -> Self: ...

    @abstractmethod
    def digest(self) -> str: ...

    def content_digest(self) -> str:
        hashes = in_threads(lambda i: hashlib.sha256(self.content(i)).digest(), len(self), "hashing images")
        return hashlib.sha256(b"".join([b"%d" % self.size, *hashes])).hexdigest()


class FolderImages(EncodedImages):
    """Files of a file system.

    ``digest`` is of path, length and time of change of each file, and of the size to which they are decoded.
    """

    def __init__(self, paths: Sequence[Path], labels: Tensor, size: int) -> None:
        super().__init__(labels, size)
        self.paths = list(paths)

    def file(self, i: int) -> Path:
        return self.paths[i]

    def name(self, i: int) -> str:
        return str(self.paths[i])

    def take(self, index: Tensor) -> Self:
        return type(self)([self.paths[i] for i in index.tolist()], self.labels[index], self.size)

    def digest(self) -> str:
        return files_digest(f"{self.size}", self.paths)


def files_digest(head: str, paths: Sequence[Path]) -> str:
    """Hash of a text, and of path, length and time of change of files."""
    sha = hashlib.sha256(head.encode())
    for path in paths:
        state = path.stat()
        sha.update(os.fsencode(f"\n{path.absolute()} {state.st_size} {state.st_mtime_ns}"))
    return sha.hexdigest()


def load_encoded(parts: Mapping[str, EncodedImages], *, skip_corrupt: bool) -> list[Images]:
    """The parts of a data set as they are used: in memory if all of them fit there.

    Args:
        parts: images by the name that messages give them.
        skip_corrupt: leave out images that can't be decoded, saying so.

    Raises:
        CrcdError: images are corrupt and not to be skipped, or a class would be left without any.
    """
    pixels = sum(len(images) * 3 * images.size**2 for images in parts.values())
    keep = pixels <= MEMORY_BUDGET
    if not (keep or skip_corrupt):
        return list(parts.values())
    return [_decode_all(images, part, keep=keep, skip_corrupt=skip_corrupt) for part, images in parts.items()]


def _decode_all(images: EncodedImages, part: str, *, keep: bool, skip_corrupt: bool) -> Images:
    """Images that can be decoded; with ``keep`` their pixels stay in memory."""
    image_NCHW = torch.empty(len(images) if keep else 0, *images.shape, dtype=torch.uint8)

    def read(i: int) -> bool:
        try:
            pixels_CHW = decode(images.file(i), images.size, images.name(i))
        except CorruptImageError:
            return False
        if keep:
            image_NCHW[i] = pixels_CHW
        return True

    readable = torch.tensor(list(in_threads(read, len(images), f"reading {part}")))
    loaded = TensorImages(image_NCHW, images.labels) if keep else images
    if readable.all():
        return loaded
    corrupt = (~readable).nonzero()[:, 0].tolist()
    names = ", ".join(images.name(i) for i in corrupt[:3])
    found = f"{part}: {len(corrupt)} of {len(images)} images can't be read ({names}{', ...' if corrupt[3:] else ''})"
    if not skip_corrupt:
        raise CrcdError(f"{found}: mend them, or pass --skip-corrupt to leave them out")
    if set(images.labels.tolist()) - set(images.labels[readable].tolist()) - {UNLABELLED}:
        raise CrcdError(f"{found}, which leaves a class without images: mend them, or remove the class from both parts")
    log.warning("%s; left out", found)
    return loaded.take(readable.nonzero()[:, 0])


def in_threads(work: Callable[[int], T], count: int, title: str) -> Iterator[T]:
    """``work(0)`` to ``work(count - 1)`` in order, done by a thread a core, with a bar where there is a terminal."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        blocks = (range(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK))
        done = (answer for block in blocks for answer in threads.map(work, block))
        yield from with_bar(done, count, title, Console(stderr=True))
