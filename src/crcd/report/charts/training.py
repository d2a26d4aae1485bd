"""Curves over the epochs."""

from collections.abc import Sequence

import altair as alt

from crcd.report.charts.parts import IS_FOCUS, IS_SHOWN, Cast, emphasis, finished, named
from crcd.report.curves import Point
from crcd.report.figure import Chart, Columns

EPOCHS = alt.X("epoch:Q", title=None, axis=alt.Axis(grid=False, tickCount=5, tickMinStep=1, format="d"))


def curve(points: Sequence[Point], cast: Cast, title: str, *, teacher: float | None = None, height: int = 170) -> Chart:
    """One number of each learner over the epochs; a band from the least to the greatest where there are several seeds.

    Args:
        points: of one name.
        cast: the networks.
        title: above the chart.
        teacher: the teacher's value; None for no line.
        height: pixels.
    """
    several = any(point.low < point.high for point in points)
    alone = len({point.epoch for point in points}) == 1
    fields = ("learner", "epoch", "mean", *(("low", "high") if several else ()))
    data: Columns = {name: [getattr(point, name) for point in points] for name in fields}
    base = named().transform_filter(IS_SHOWN).encode(x=EPOCHS, color=cast.colour)
    y = alt.Y("mean:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
    tooltip = [
        alt.Tooltip("learner:N"),
        alt.Tooltip("epoch:Q"),
        *(alt.Tooltip(f"{name}:Q", title=title if name == "mean" else name, format=".4~g") for name in fields[2:]),
    ]
    layers = [base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=None), y2="high:Q")] if several else []
    layers.append(base.mark_line().encode(y=y, strokeWidth=emphasis(2.6, 1.3)))
    layers.append(base.mark_point(opacity=float(alone), filled=alone, size=120).encode(y=y, tooltip=tooltip))
    if teacher is None:
        return finished(alt.layer(*layers), cast, data, title, height=height)
    rule = named("teacher").mark_rule(strokeDash=[5, 4], strokeWidth=1.3, color="var(--learner-0)")
    layers.append(rule.encode(y="value:Q", tooltip=alt.Tooltip("value:Q", title="teacher", format=".2f")))
    return finished(alt.layer(*layers), cast, data, title, height=height, more={"teacher": {"value": [teacher]}})


def weights(points: Sequence[Point], cast: Cast, title: str) -> Chart:
    """Weights of the terms of the learner looked at; terms of one weight share a line."""
    fields = ("learner", "epoch", "name", "mean")
    data: Columns = {name: [getattr(point, name) for point in points] for name in fields}
    legend = alt.Legend(
        title=None,
        orient="bottom",
        columns=1,
        labelLimit=0,
        symbolType="stroke",
        symbolSize=400,
        labelExpr="split(datum.label, ', ')",
    )
    base = (
        named()
        .transform_filter(IS_FOCUS)
        .encode(
            x=EPOCHS,
            y=alt.Y("mean:Q", title=None, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=4)),
            strokeDash=alt.StrokeDash("name:N", legend=legend, sort=None),
        )
    )
    line = base.mark_line(interpolate="step-after", strokeWidth=2, color="var(--ink)")
    hover = base.mark_point(opacity=0, size=120).encode(
        tooltip=[
            alt.Tooltip("name:N", title="terms"),
            alt.Tooltip("epoch:Q"),
            alt.Tooltip("mean:Q", title="weight", format=".4~g"),
        ]
    )
    return finished(alt.layer(line, hover), cast, data, title, height=210)
