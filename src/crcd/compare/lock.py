"""One process at a time in a folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crcd.errors import CrcdError


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Other processes that ask for the folder while this one is inside are refused.

    The lock is the system's and ends with the process, however that ends. Systems without ``fcntl`` have none.

    Raises:
        CrcdError: another process is inside.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CrcdError(f"another crcd compare works in {folder}: wait for it, or name another --out") from error
        yield
    finally:
        os.close(file)
