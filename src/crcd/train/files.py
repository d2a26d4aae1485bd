"""Files that are either the old or the new one, never a part."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from crcd import distributed
from crcd.errors import CrcdError

LONGEST = 225
"""Bytes of a name to which endings may be added: file systems take 255 in all."""


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file beside its place, flush it to the disk, then move it into place.

    Of several processes the first one alone writes.

    Args:
        path: the file, in a folder that exists.
        write: writes the content into the open file.

    Raises:
        CrcdError: it could not be written (a full disk, no permission); the old file is as it was.
    """
    if distributed.rank() > 0:
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, RuntimeError) as error:  # torch.save turns the file's OSError into a RuntimeError
        cause = error if isinstance(error, OSError) else error.__context__
        reason = cause.strerror if isinstance(cause, OSError) else str(error).splitlines()[0]
        kept = "; the file of before is kept" if path.exists() else ""
        raise CrcdError(f"{path} could not be written ({reason}){kept}: make room or choose another --out") from error
    finally:
        part.unlink(missing_ok=True)


def file_stem(name: str) -> str:
    """What a learner's files are called: its name, or what fits of that and a hash of all of it."""
    if "/" not in name and len(name.encode()) <= LONGEST:
        return name
    kept = name.replace("/", "_").encode()[: LONGEST - 9].decode(errors="ignore")
    return f"{kept}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))
