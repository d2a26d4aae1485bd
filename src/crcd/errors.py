"""Errors that the user can mend: one line that says what was wrong, where, and what to do."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class CrcdError(Exception):
    """A mistake in the input. The command line prints its text as one line and exits with status 2."""


def require(holds: bool, name: str, value: object, advice: str) -> None:
    """Raise the ``CrcdError`` that names a setting, its value and what to give instead, unless the check holds."""
    if not holds:
        raise CrcdError(f"{name} is {value}: {advice}")


def unknown(kind: str, name: str, known: Iterable[str]) -> CrcdError:
    """Error for a name that is not in a registry, with the nearest known names.

    Args:
        kind: what the name stands for, e.g. ``"model"``.
        name: what the user wrote.
        known: the names that exist.
    """
    names = sorted(known)
    near = get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return CrcdError(f"unknown {kind} '{name}': {hint}")


def few(names: Sequence[str], shown: int = 5) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if names[shown:] else "")
