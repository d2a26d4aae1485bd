"""Files that are either the old or the new one, never a part."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from crcd import distributed
from crcd.errors import CrcdError

UNFIT = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
"""What stands in no name of a file on Windows or, of these / and NUL, elsewhere."""
STEM_BYTES = 225
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
    """A name as a file or a folder can have it: itself, or what fits of it and a hash of all of it."""
    whole = name.encode(errors="backslashreplace")
    if plain_name(name) == name and len(whole) <= STEM_BYTES:
        return name
    kept = plain_name(whole.decode()).encode()[: STEM_BYTES - 9].decode(errors="ignore")
    return f"{kept}-{hashlib.sha256(whole).hexdigest()[:8]}"


def plain_name(name: str) -> str:
    """A name with _ for each character that no file may have in its name, on any system; others may come to it, too."""
    return UNFIT.sub("_", name)


def write_text(path: Path, text: str) -> None:
    r"""Write a text file atomically, as UTF-8; of a folder's name that is none, a byte stands there as ``\udce9``."""
    write_atomically(path, lambda file: file.write(text.encode(errors="backslashreplace")))


def read_json(path: Path) -> Any:
    """What a JSON file of a run holds.

    Raises:
        CrcdError: it can't be read, or is no JSON.
    """
    (content,) = _parsed(path, lambda text: [text])
    return content


def read_json_lines(path: Path) -> list[Any]:
    """What the lines of a JSONL file of a run hold; errors as of ``read_json``."""
    return _parsed(path, str.splitlines)


def damaged(path: Path, reason: object) -> CrcdError:
    """Error for a file of a run that is not as it was written."""
    return CrcdError(f"{path} is damaged ({reason}): put a whole copy of it in its place, or begin the run anew")


def _parsed(path: Path, split: Callable[[str], list[str]]) -> list[Any]:
    try:
        return [json.loads(part) for part in split(path.read_text(encoding="utf-8"))]
    except OSError as error:
        raise CrcdError(f"{path} can't be read ({error.strerror})") from error
    except ValueError as error:
        raise damaged(path, error) from error
