"""Relations between images: matrices, distributions, maps."""

from collections.abc import Sequence

import altair as alt

from crcd.report.charts.parts import IS_FOCUS, Cast, finished, named
from crcd.report.figure import Chart, Columns

DIVERGING = ["#2166ac", "#67a9cf", "#d1e5f0", "#f7f7f7", "#fddbc7", "#ef8a62", "#b2182b"]
"""Blue below zero, red above it (ColorBrewer's RdBu, which is safe for the colour-blind)."""
KINDS = ["var(--same)", "var(--other)"]
"""Colours of pairs that belong together, and of others."""
FEW = 12
"""Classes whose names have room beside a matrix or on a map."""


def matrix(data: Columns, names: Sequence[str], cast: Cast, title: str, limit: float, *, of_focus: bool) -> Chart:
    """Squares of ``value`` from -limit to limit at ``row`` and ``column``.

    Args:
        data: the cells; with ``learner`` where they are ``of_focus``, the learner looked at.
        names: what rows and columns stand for.
        cast: the networks.
        title: above it.
        limit: value of the strongest colours.
        of_focus: whether there are cells of every learner.
    """
    axis = None
    if len(names) <= FEW:
        axis = alt.Axis(
            labelExpr="names[datum.value]",
            title=None,
            grid=False,
            ticks=False,
            domain=False,
            labelLimit=70,
        )
    scale = alt.Scale(domain=[-limit, limit], range=DIVERGING, clamp=True)
    chart = (
        _own(of_focus=of_focus)
        .transform_calculate(one="names[datum.row]", other="names[datum.column]")
        .mark_rect(strokeWidth=0)
        .encode(
            x=alt.X("column:O", axis=_below(axis, names), scale=alt.Scale(padding=0)),
            y=alt.Y("row:O", axis=axis, scale=alt.Scale(padding=0)),
            color=alt.Color("value:Q", scale=scale, legend=None),
            tooltip=[alt.Tooltip("one:N"), alt.Tooltip("other:N"), alt.Tooltip("value:Q", format="+.2f")],
        )
    )
    return finished(chart, cast, data, title, choices={"names": list(names)}, of_focus=of_focus)


def _below(axis: alt.Axis | None, names: Sequence[str]) -> alt.Axis | None:
    """The axis below a matrix: names of more than two letters stand upright, where they do not run into one another."""
    if axis is None:
        return None
    below = axis.copy()
    below.labelAngle = 0 if max(map(len, names)) <= 2 else -90
    return below


def shares(data: Columns, kinds: Sequence[str], cast: Cast, title: str, *, of_focus: bool) -> Chart:
    """Share of pairs (percent, ``share``) in bins of their cosine (from ``low`` to ``high``), a step curve a kind."""
    axis = alt.Axis(grid=False, values=[-1, -0.5, 0, 0.5, 1], format="~g", labelSeparation=6)
    base = _own(of_focus=of_focus).encode(x=alt.X("low:Q", title=None, scale=alt.Scale(domain=[-1, 1]), axis=axis))
    steps = base.mark_area(interpolate="step-after", opacity=0.45, line={"strokeWidth": 1.4}).encode(
        y=alt.Y("share:Q", title="% of pairs", stack=None, axis=alt.Axis(tickCount=4)),
        color=alt.Color("kind:N", scale=alt.Scale(domain=list(kinds), range=KINDS), legend=None),
    )
    hover = (
        base.transform_filter("datum.high > datum.low")
        .transform_pivot("kind", value="share", groupby=["low", "high"])
        .transform_calculate(cosine="format(datum.low, '.2f') + ' to ' + format(datum.high, '.2f')")
        .mark_bar(opacity=0)
        .encode(
            x2="high:Q",
            y=alt.value(0),
            y2=alt.value("height"),
            tooltip=[
                alt.Tooltip("cosine:N"),
                *(alt.Tooltip(f"{kind}:Q", title=f"{kind}, %", format=".1f") for kind in kinds),
            ],
        )
    )
    return finished(alt.layer(steps, hover), cast, data, title, height=130, of_focus=of_focus)


def embedding(data: Columns, classes: int, cast: Cast, title: str, *, of_focus: bool) -> Chart:
    """Images as points at ``x`` and ``y``, coloured by class; wrong answers are crosses."""
    place = alt.Scale(domain=[-1.08, 1.08])
    base = _own(of_focus=of_focus).encode(
        x=alt.X("x:Q", axis=None, scale=place),
        y=alt.Y("y:Q", axis=None, scale=place),
    )
    scale = alt.Scale(scheme="tableau10" if classes <= 10 else "sinebow")
    points = base.mark_point(filled=True, opacity=0.75).encode(
        color=alt.Color("class:O", scale=scale, legend=None),
        size=alt.condition("datum.right", alt.value(26), alt.value(70)),
        shape=alt.condition("datum.right", alt.value("circle"), alt.value("cross")),
        tooltip=[alt.Tooltip("name:N", title="class"), alt.Tooltip("answer:N", title="answer")],
    )
    if classes > FEW:
        return finished(points, cast, data, title, of_focus=of_focus)
    middle = base.transform_aggregate(x="median(x)", y="median(y)", groupby=["name"]).encode(text="name:N")
    halo = middle.mark_text(fontSize=13, fontWeight=700, dy=-13, stroke="var(--card)", strokeWidth=4)
    names = middle.mark_text(fontSize=13, fontWeight=700, dy=-13, color="var(--ink)")
    return finished(alt.layer(points, halo, names), cast, data, title, of_focus=of_focus)


def _own(*, of_focus: bool) -> alt.Chart:
    return named().transform_filter(IS_FOCUS) if of_focus else named()
