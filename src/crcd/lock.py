"""One process at a time in a folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crcd.errors import CrcdError

LOCK = ".lock"
"""The file in the folder that is locked: it is there while a process is inside, or after one was killed there."""

_held: set[int] = set()
"""Locked files that this process has open."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Other processes that ask for the folder, which exists, while this one is inside are refused.

    The lock is the system's and ends with the process, however that ends; processes that it forks don't keep it.
    Systems without ``fcntl`` and file systems without locks have none.

    Raises:
        CrcdError: another process is inside.
    """
    file = _lock(folder)
    if file is None:
        yield
        return
    _held.add(file)
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        _held.discard(file)
        os.close(file)


def _lock(folder: Path) -> int | None:
    """The locked file, open; None where there are no locks."""
    try:
        import fcntl
    except ImportError:
        return None
    while True:
        file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(file)
            raise CrcdError(f"another crcd works in {folder}: wait for its end, or name another folder") from error
        except OSError:
            os.close(file)
            return None
        if os.fstat(file).st_nlink:
            return file
        os.close(file)  # whoever was inside has just left and taken it away


def _let_go() -> None:
    """In a process that was forked: it would keep the lock if this one were killed."""
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
