"""What the user's own code holds, by the name ``package.module:name``."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from crcd.errors import CrcdError

_refusal: ContextVar[tuple[str, str] | None] = ContextVar("refusal", default=None)
"""Who names code that is not run, and what to do; None where code is run."""


@contextmanager
def refused(source: str, advice: str) -> Iterator[None]:
    """Inside, names come from files, not from the user: ``from_own_code`` raises ``CrcdError`` and imports nothing.

    Args:
        source: the files.
        advice: what the user may do about it.
    """
    token = _refusal.set((source, advice))
    try:
        yield
    finally:
        _refusal.reset(token)


def from_own_code(kind: str, name: str) -> Any:
    """What the name stands for. The module is imported: whatever that does is done.

    It is found as Python finds any, and in the working directory.

    Args:
        kind: what it shall be, for the error, e.g. ``"model"``.
        name: ``PACKAGE.MODULE:NAME``.

    Raises:
        CrcdError: there is no such module, it has no such name, it fails, or code is refused here.
    """
    if (refusal := _refusal.get()) is not None:
        source, advice = refusal
        raise CrcdError(f"{source} name {name}, code that is not run on a file's word: {advice}")
    module_name, _, own_name = name.partition(":")
    if "" not in sys.path and "." not in sys.path:
        sys.path.append("")
    try:
        module = import_module(module_name)
    except Exception as error:
        if not _is_absent(module_name, error):
            raise own_failure(kind, name, error) from error
        raise CrcdError(
            f"{kind} '{name}': {error}: give PACKAGE.MODULE:NAME of a module that is installed or in this folder"
        ) from error
    try:
        return getattr(module, own_name)
    except AttributeError as error:
        raise CrcdError(f"{kind} '{name}': module {module_name} has no '{own_name}'") from error


def _is_absent(module: str, error: Exception) -> bool:
    """Whether it failed for want of the module, or of the package that it is in, and not of what these import."""
    if isinstance(error, ModuleNotFoundError):
        return f"{module}.".startswith(f"{error.name}.")
    return not module or module.startswith(".")


def own_failure(kind: str, name: str, error: Exception) -> CrcdError:
    """What to tell of an error within the user's own code: which it is, and where."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno
    else:
        *_, last = traceback.extract_tb(error.__traceback__)
        file, line = last.filename, last.lineno
    return CrcdError(f"{kind} '{name}': its code failed in {file}, line {line} ({reason})")
