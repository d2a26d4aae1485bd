"""What all charts share: colours of the learners, the page's choices, named data."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from crcd.report.figure import Chart, Columns

COLOURS = 8
"""Colours that the page's style has for learners."""
AnyChart = alt.Chart | alt.LayerChart


def colour(number: int) -> str:
    """Colour of a learner, by its place; the style sheet knows its value by light and dark."""
    return f"var(--learner-{number % COLOURS})"


def colours(learners: Sequence[str]) -> alt.Scale:
    """Each learner's colour, the same in all charts."""
    return alt.Scale(domain=list(learners), range=[colour(i) for i in range(len(learners))])


def named(name: str = "data") -> alt.NamedData:
    """Data that the page holds."""
    return alt.NamedData(name=name)


def parameters(learners: Sequence[str], focus: str, **others: str) -> list[alt.Parameter]:
    """What the page can set: ``focus``, the learner looked at, ``shown``, those drawn beside it, and others."""
    return [
        alt.param(name="focus", value=focus),
        alt.param(name="shown", value=list(learners)),
        *(alt.param(name=name, value=value) for name, value in others.items()),
    ]


IS_SHOWN = "datum.learner == focus || indexof(shown, datum.learner) >= 0"
IS_FOCUS = "datum.learner == focus"


def emphasis(strong: float, weak: float) -> Any:
    """A number for the learner looked at, another for the rest."""
    return alt.condition(IS_FOCUS, alt.value(strong), alt.value(weak))


def finished(chart: AnyChart, data: Columns, title: str = "", *, square: bool = False, **more: Columns) -> Chart:
    """The chart's specification with its data beside it."""
    sized = chart.properties(width="container", autosize=alt.AutoSizeParams(type="fit", contains="padding"))
    if square:
        sized = sized.properties(height="container")
    spec: dict[str, Any] = sized.to_dict()
    for name in ("$schema", "config"):
        spec.pop(name, None)
    return Chart(spec, {"data": data, **more}, title, square)
