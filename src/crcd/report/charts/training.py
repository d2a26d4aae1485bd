"""Curves over the epochs."""

from collections.abc import Sequence

import altair as alt

from crcd.report.charts.parts import IS_FOCUS, IS_SHOWN, colours, emphasis, finished, named, parameters
from crcd.report.curves import Point
from crcd.report.figure import Chart, Columns


def curve(
    points: Sequence[Point], learners: Sequence[str], focus: str, title: str, *, rule: float | None = None, height: int = 170
) -> Chart:
    """One number of each learner over the epochs; a band from the least to the greatest where there are several seeds.

    Args:
        points: of one name.
        learners: teacher first.
        focus: the learner looked at.
        title: above the chart.
        rule: the teacher's value; None for no line.
        height: pixels.
    """
    several = any(point.low < point.high for point in points)
    data: Columns = {name: [getattr(point, name) for point in points] for name in ("learner", "epoch", "mean")}
    if several:
        data |= {name: [getattr(point, name) for point in points] for name in ("low", "high")}
    base = (
        alt.Chart(named())
        .transform_filter(IS_SHOWN)
        .encode(
            x=alt.X("epoch:Q", title=None, axis=alt.Axis(grid=False, tickMinStep=1, tickCount=5, format="d")),
            color=alt.Color("learner:N", scale=colours(learners), legend=None),
        )
    )
    y = alt.Y("mean:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5, format="~g"))
    tooltip = [alt.Tooltip("learner:N"), alt.Tooltip("epoch:Q"), alt.Tooltip("mean:Q", title=title, format=".4~g")]
    layers: list[alt.Chart] = []
    if several:
        band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=None), y2="high:Q")
        layers.append(band)
        tooltip += [alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("low", "high")]
    layers.append(base.mark_line().encode(y=y, strokeWidth=emphasis(2.6, 1.3)))
    layers.append(base.mark_point(opacity=0, size=120).encode(y=y, tooltip=tooltip))
    more: dict[str, Columns] = {}
    if rule is not None:
        line = alt.Chart(named("rule")).mark_rule(strokeDash=[5, 4], strokeWidth=1.3).encode(
            y=alt.Y("value:Q"), color=alt.value("var(--learner-0)"), tooltip=alt.Tooltip("value:Q", title="teacher", format=".2f")
        )
        layers.append(line)
        more["rule"] = {"value": [rule]}
    layered = alt.layer(*layers).add_params(*parameters(learners, focus)).properties(height=height)
    return finished(layered, data, title, **more)


def weights(points: Sequence[Point], learners: Sequence[str], focus: str, title: str) -> Chart:
    """Weights of the terms of the learner looked at."""
    data: Columns = {name: [getattr(point, name) for point in points] for name in ("learner", "epoch", "name", "mean")}
    base = alt.Chart(named()).transform_filter(IS_FOCUS).encode(
        x=alt.X("epoch:Q", title=None, axis=alt.Axis(grid=False, tickMinStep=1, tickCount=5, format="d")),
        y=alt.Y("mean:Q", title=None, axis=alt.Axis(tickCount=5)),
        detail="name:N",
    )
    line = base.mark_line(interpolate="step-after", strokeWidth=1.8).encode(color=alt.value("var(--ink)"))
    hover = base.mark_point(opacity=0, size=120).encode(
        tooltip=[alt.Tooltip("name:N", title="term"), alt.Tooltip("epoch:Q"), alt.Tooltip("mean:Q", title="weight", format=".4~g")]
    )
    last = base.transform_joinaggregate(last="max(epoch)").transform_filter("datum.epoch == datum.last")
    names = last.mark_text(align="right", dy=-7, fontSize=11).encode(text="name:N", color=alt.value("var(--muted)"))
    layered = alt.layer(line, hover, names).add_params(*parameters(learners, focus)).properties(height=170)
    return finished(layered, data, title)
