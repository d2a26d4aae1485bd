"""Whether this process is one of several: what torchrun tells each by the environment."""

import os

from crcd.errors import CrcdError


def processes() -> int:
    """How many were started to work together; 1 where the environment tells of none.

    Raises:
        CrcdError: what it tells makes no sense, or is not all of it.
    """
    count = _number("WORLD_SIZE", "1")
    if count > 1:
        for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
            if not os.environ.get(name):
                raise CrcdError(f"WORLD_SIZE is {count} and {name} is not set: start by torchrun, or unset WORLD_SIZE")
        _number("RANK", below=count)
        _number("LOCAL_RANK", "0", below=count)
        _number("MASTER_PORT", below=2**16)
    return count


def _number(name: str, usual: str = "", below: int | None = None) -> int:
    text = os.environ.get(name, usual)
    if not (text.isascii() and text.isdecimal()) or (below is not None and int(text) >= below):
        wanted = "a whole number" if below is None else f"one of 0 to {below - 1}"
        raise CrcdError(f"the environment variable {name} is '{text}', not {wanted}: start by torchrun, or unset it")
    return int(text)
