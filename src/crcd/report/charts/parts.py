"""What all charts share: colours of the learners, the page's choices, named data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from crcd.report.figure import Chart, Columns

COLOURS = 13
"""Colours that the page's style has for networks."""


@dataclass(frozen=True)
class Cast:
    """The networks that charts know.

    Attributes:
        teacher: name of the first.
        learners: the others.
        focus: the learner looked at first.
        baseline: the one that the others are compared with.
    """

    teacher: str
    learners: Sequence[str]
    focus: str
    baseline: str

    @property
    def names(self) -> list[str]:
        """All of them, each with the colour of its place in all charts."""
        return [self.teacher, *self.learners]

    @property
    def colour(self) -> alt.Color:
        """Colour by ``learner``."""
        scale = alt.Scale(domain=self.names, range=[colour(i) for i in range(len(self.names))])
        return alt.Color("learner:N", scale=scale, legend=None)


def colour(number: int) -> str:
    """Colour of a network, by its place; the style sheet knows its value by light and dark."""
    return f"var(--learner-{number % COLOURS})"


def named(name: str = "data") -> alt.Chart:
    """A chart of data that the page holds."""
    return alt.Chart(alt.NamedData(name=name))


IS_FOCUS = "datum.learner == focus"
IS_SHOWN = f"{IS_FOCUS} || indexof(shown, datum.learner) >= 0"


def emphasis(strong: float, weak: float) -> Any:
    """A number for the learner looked at, another for the rest."""
    return alt.condition(IS_FOCUS, alt.value(strong), alt.value(weak))


def rows_axis(limit: int) -> alt.Axis:
    """An axis of names beside bars."""
    return alt.Axis(labelLimit=limit, ticks=False, domain=False, offset=8, labelPadding=0)


def counts_axis() -> alt.Axis:
    """An axis of whole numbers."""
    return alt.Axis(tickCount=5, format="d", labelExpr="datum.value % 1 ? '' : datum.label")


def finished(
    chart: alt.Chart | alt.LayerChart | alt.FacetChart,
    cast: Cast,
    data: Columns,
    title: str = "",
    *,
    height: int | None = None,
    choices: Mapping[str, Any] | None = None,
    more: Mapping[str, Columns] | None = None,
    of_focus: bool = False,
) -> Chart:
    """The chart's specification, as wide as its place, with what the page can set and its data beside it.

    Args:
        chart: marks and encodings.
        cast: the networks; the page sets ``focus``, the learner looked at, and ``shown``, those drawn beside it.
        data: what ``named()`` stands for.
        title: above it.
        height: pixels; None makes it square.
        choices: further parameters, and their first values.
        more: further data, by name.
        of_focus: whether it shows the learner looked at alone.
    """
    values = {"focus": cast.focus, "shown": list(cast.learners), **(choices or {})}
    chart = chart.add_params(*(alt.param(name=name, value=value) for name, value in values.items()))
    fit = alt.AutoSizeParams(type="fit", contains="padding")
    spec: dict[str, Any] = chart.properties(autosize=fit).to_dict()
    spec |= {"width": "container", "height": "container" if height is None else height}
    for name in ("$schema", "config"):
        spec.pop(name, None)
    return Chart(spec, {"data": data, **(more or {})}, title, square=height is None, of_focus=of_focus)
