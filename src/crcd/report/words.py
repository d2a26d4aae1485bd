"""Numbers as a page writes them."""

import math
import re
from collections.abc import Sequence

ARROW, DOTS = "\N{RIGHTWARDS ARROW}", "\N{HORIZONTAL ELLIPSIS}"
MINUS, TIMES, SPACE = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}", "\N{NO-BREAK SPACE}"
UNITS = (("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12))


def short(value: float, unit: str = "") -> str:
    """Three digits and a unit's prefix, such as 272 k."""
    name, size = next(((n, s) for n, s in reversed(UNITS) if abs(value) >= s), UNITS[0])
    return f"{three(value / size)}{SPACE}{name}{unit}".rstrip(SPACE)


def three(value: float) -> str:
    """Three digits, without trailing zeros behind a point."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def milliseconds(seconds: float) -> str:
    """A time in ms, three digits."""
    return f"{three(1000 * seconds)}{SPACE}ms"


def points(value: float) -> str:
    """A difference of accuracies, with a sign; a minus as typographers write it."""
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", MINUS)


def interval(low: float, high: float) -> str:
    """Both ends of a difference's interval; an end of -0.00 is a little below zero: the interval holds it."""
    return f"{low:+.2f} to {high:+.2f}".replace("-", MINUS)


def with_minus(text: str) -> str:
    """A cell of a table with its minus signs as typographers write them."""
    return re.sub(r"(?<!\S)-(?=\d)", MINUS, text)


def times(ratio: float) -> str:
    """A ratio, one digit behind the point below 10, and the sign of multiplication."""
    return f"{ratio:.1f}{TIMES}" if ratio < 10 else f"{ratio:.0f}{TIMES}"


def brief(names: Sequence[str], most: int = 18) -> list[str]:
    """The names, each of at most so many characters; long ones that begin alike end with their numbers."""
    first = [name if len(name) <= most else f"{name[: most - 1].rstrip()}{DOTS}" for name in names]
    return [
        short if first.count(short) == 1 else f"{names[i][: most - 1 - len(str(i))].rstrip()}{DOTS}{i}"
        for i, short in enumerate(first)
    ]
