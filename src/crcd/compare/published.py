"""Accuracies that others report, to stand beside measured ones."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("published.yaml")


@dataclass(frozen=True)
class Published:
    """One row of somebody's table.

    Attributes:
        method: as the source calls it.
        source: authors, venue.
        top1: percent, by ``TEACHER/STUDENT``.
    """

    method: str
    source: str
    top1: dict[str, float]


@cache
def published(data: str) -> tuple[Published, ...]:
    """Rows about a data set; none about most."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return tuple(Published(**row) for row in content.get(data, ()))
