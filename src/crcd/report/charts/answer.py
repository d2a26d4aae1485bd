"""Accuracy against cost."""

import json
import math

import altair as alt

from crcd.report.charts.parts import IS_FOCUS, IS_SHOWN, Cast, finished, named
from crcd.report.figure import Chart, Columns


def trade_off(data: Columns, cast: Cast, first_cost: str) -> Chart:
    """Accuracy of teacher and students over a cost that is chosen.

    Args:
        data: ``learner``, ``accuracy``, ``baseline`` (that learner's accuracy), and a column a cost.
        cast: the networks.
        first_cost: column that is chosen first.
    """
    least = max(0, 5 * math.floor((min(data["accuracy"]) - 1) / 5))
    accuracy = alt.Y("accuracy:Q", title="top-1 %", scale=alt.Scale(domain=[least, 100]), axis=alt.Axis(tickCount=6))
    cost = alt.X(
        "cost:Q",
        title=None,
        scale=alt.Scale(type="log", nice=False, padding=70),
        axis=alt.Axis(format="~s", grid=False, tickCount=4, labelBound=True, labelOverlap="greedy", labelSeparation=10),
    )
    base = (
        named()
        .transform_filter(f"datum.learner == {json.dumps(cast.teacher)} || {IS_SHOWN}")
        .transform_calculate(cost="datum[cost_name]")
        .encode(x=cost, y=accuracy)
    )
    line = base.transform_filter(IS_FOCUS).mark_rule(strokeWidth=2, color="var(--faint)").encode(y2="baseline:Q")
    points = base.mark_point(filled=True, opacity=1).encode(
        color=cast.colour,
        size=alt.condition(IS_FOCUS, alt.value(220), alt.value(110)),
        tooltip=[
            alt.Tooltip("learner:N"),
            alt.Tooltip("accuracy:Q", title="top-1 %", format=".2f"),
            alt.Tooltip("cost:Q", title="cost", format=".3~s"),
        ],
    )
    right = f"{IS_FOCUS} || datum.learner == {json.dumps(cast.teacher)}"
    left = f"datum.learner == {json.dumps(cast.baseline)} && !({IS_FOCUS})"
    named_right = base.transform_filter(right).mark_text(align="left", dx=12, fontSize=13, fontWeight=600)
    named_left = base.transform_filter(left).mark_text(align="right", dx=-12, fontSize=13, fontWeight=600)
    names = (marks.encode(text="learner:N", color=cast.colour) for marks in (named_right, named_left))
    layers = alt.layer(line, points, *names)
    return finished(layers, cast, data, height=300, choices={"cost_name": first_cost})
