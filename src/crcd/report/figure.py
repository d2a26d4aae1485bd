"""What a page is made of."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from crcd.errors import CrcdError

log = logging.getLogger(__name__)
Columns = dict[str, list[Any]]
"""Rows of data, column by column."""


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        spec: in Vega-Lite; its data sets are named.
        tables: these data sets, by name.
        title: above it.
        square: as high as wide.
        of_focus: shows the learner looked at alone, who may have nothing in it.
    """

    spec: dict[str, Any]
    tables: dict[str, Columns]
    title: str = ""
    square: bool = False
    of_focus: bool = False


@dataclass(frozen=True)
class Choice:
    """A select box that changes charts.

    Attributes:
        signal: parameter of the charts.
        label: before the box.
        options: texts by value; the first one is chosen.
    """

    signal: str
    label: str
    options: dict[str, str]


@dataclass(frozen=True)
class Figure:
    """One figure of the page.

    Attributes:
        reading: one sentence that says how to read it.
        charts: side by side where there is room.
        choices: what can be chosen.
        template: file of the part of the page that it has beside charts.
        content: what that needs.
        missing: why it could not be made; empty where it was.
        columns: charts in a row where there is room.
        narrow_columns: charts in a row on a telephone.
    """

    reading: str = ""
    charts: Sequence[Chart] = ()
    choices: Sequence[Choice] = ()
    template: str = ""
    content: dict[str, Any] = field(default_factory=dict)
    missing: str = ""
    columns: int = 1
    narrow_columns: int = 1


def attempt(title: str, make: Callable[[], Figure]) -> Figure:
    """The figure, or one in its place that says why there is none: no part stops the others."""
    try:
        return make()
    except CrcdError as error:
        reason = str(error)
    except Exception as error:
        log.warning("the report's figure '%s' could not be made", title, exc_info=True)
        reason = f"{type(error).__name__}: {error}"
    return Figure(missing=reason)
