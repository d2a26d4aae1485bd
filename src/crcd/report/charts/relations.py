"""Relations between images: matrices, distributions, maps."""

from collections.abc import Sequence

import altair as alt

from crcd.report.charts.parts import IS_FOCUS, colours, finished, named, parameters
from crcd.report.figure import Chart, Columns

DIVERGING = ["#2166ac", "#67a9cf", "#d1e5f0", "#f7f7f7", "#fddbc7", "#ef8a62", "#b2182b"]
"""Blue below zero, red above it (ColorBrewer's RdBu, which is safe for the colour-blind)."""
KINDS = ["var(--same)", "var(--other)"]
"""Colours of pairs of one class, and of two."""


def matrix(
    data: Columns,
    names: Sequence[str],
    learners: Sequence[str],
    focus: str,
    title: str,
    limit: float,
    *,
    of_focus: bool,
) -> Chart:
    """Squares of ``value`` from -limit to limit at ``row`` and ``column``.

    Args:
        data: the cells; with ``learner`` where they are ``of_focus``, the learner looked at.
        names: what rows and columns stand for.
        learners: teacher first.
        focus: the learner looked at.
        title: above it.
        limit: value of the strongest colours.
        of_focus: whether there are cells of every learner.
    """
    base = alt.Chart(named()).mark_rect(strokeWidth=0)
    if of_focus:
        base = base.transform_filter(IS_FOCUS)
    chart = base.transform_calculate(one="names[datum.row]", other="names[datum.column]").encode(
        x=alt.X("column:O", axis=None, scale=alt.Scale(padding=0)),
        y=alt.Y("row:O", axis=None, scale=alt.Scale(padding=0)),
        color=alt.Color("value:Q", scale=alt.Scale(domain=[-limit, limit], range=DIVERGING, clamp=True), legend=None),
        tooltip=[alt.Tooltip("one:N"), alt.Tooltip("other:N"), alt.Tooltip("value:Q", format="+.2f")],
    )
    return finished(
        chart.add_params(*parameters(learners, focus), alt.param(name="names", value=list(names))),
        data,
        title,
        square=True,
    )


def shares(data: Columns, learners: Sequence[str], focus: str, title: str, kinds: Sequence[str], *, of_focus: bool) -> Chart:
    """Share of pairs (percent, ``share``) over their cosine, one step curve a ``kind``."""
    base = alt.Chart(named())
    if of_focus:
        base = base.transform_filter(IS_FOCUS)
    chart = base.mark_area(interpolate="step-after", opacity=0.45, line={"strokeWidth": 1.4}).encode(
        x=alt.X("cosine:Q", title=None, scale=alt.Scale(domain=[-1, 1]), axis=alt.Axis(grid=False, tickCount=5, format="~g")),
        y=alt.Y("share:Q", title=None, stack=None, axis=alt.Axis(tickCount=4)),
        color=alt.Color("kind:N", scale=alt.Scale(domain=list(kinds), range=KINDS), legend=None),
        tooltip=[alt.Tooltip("kind:N"), alt.Tooltip("cosine:Q", format=".2f"), alt.Tooltip("share:Q", format=".1f", title="% of pairs")],
    )
    return finished(chart.add_params(*parameters(learners, focus)).properties(height=130), data, title)


def embedding(data: Columns, learners: Sequence[str], focus: str, title: str, classes: int, *, of_focus: bool) -> Chart:
    """Images as points, coloured by class; wrong answers are crosses."""
    base = alt.Chart(named())
    if of_focus:
        base = base.transform_filter(IS_FOCUS)
    scale = alt.Scale(scheme="tableau10") if classes <= 10 else alt.Scale(scheme="sinebow")
    colour = alt.Color("class:O", scale=scale, legend=None)
    place = {"x": alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-1.05, 1.05])), "y": alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-1.05, 1.05]))}
    points = base.mark_point(size=26, opacity=0.75).encode(
        **place,
        color=colour,
        fill=alt.condition("datum.right", alt.Fill("class:O", scale=scale, legend=None), alt.value("transparent")),
        shape=alt.condition("datum.right", alt.value("circle"), alt.value("cross")),
        tooltip=[alt.Tooltip("name:N", title="class"), alt.Tooltip("answer:N", title="answer")],
    )
    layers = [points]
    if classes <= 12:
        middle = base.transform_aggregate(x="median(x)", y="median(y)", groupby=["name"])
        halo = middle.mark_text(fontSize=13, fontWeight=700, stroke="var(--card)", strokeWidth=4, strokeJoin="round").encode(**place, text="name:N")
        layers += [halo, middle.mark_text(fontSize=13, fontWeight=700).encode(**place, text="name:N", color=alt.value("var(--ink)"))]
    return finished(alt.layer(*layers).add_params(*parameters(learners, focus)), data, title, square=True)
