"""Tables of Markdown."""

from collections.abc import Iterable


def rows(heading: str, lines: Iterable[Iterable[object]]) -> str:
    """A table of Markdown; numbers with three digits, nothing for None."""
    shown = [heading, "|".join(["", *("---" for _ in heading.strip("|").split("|")), ""])]
    shown += [f"| {' | '.join(map(cell, line))} |" for line in lines]
    return "\n".join(shown)


def cell(value: object) -> str:
    """One cell of a table."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "" if value is None else str(value)
