"""Accuracy against cost."""

import json
from collections.abc import Sequence

import altair as alt

from crcd.report.charts.parts import IS_FOCUS, IS_SHOWN, colours, finished, named, parameters
from crcd.report.figure import Chart, Columns


def trade_off(data: Columns, learners: Sequence[str], focus: str, baseline: str, first_cost: str) -> Chart:
    """Accuracy of teacher and students over a cost that is chosen.

    Args:
        data: ``learner``, ``accuracy``, ``baseline`` (that learner's accuracy), and a column a cost.
        learners: teacher first.
        focus: the learner looked at.
        baseline: the one that it is compared with.
        first_cost: column that is chosen first.
    """
    base = (
        alt.Chart(named())
        .transform_filter(f"datum.learner == 'teacher' || {IS_SHOWN}")
        .transform_calculate(cost="datum[cost_name]", is_focus=IS_FOCUS)
        .transform_filter("isValid(datum.cost)")
        .encode(
            x=alt.X("cost:Q", title=None, scale=alt.Scale(type="log", nice=False, padding=60), axis=alt.Axis(format="~s", tickCount=4)),
            y=alt.Y("accuracy:Q", title="top-1 %", scale=alt.Scale(zero=False, nice=True, padding=16)),
        )
    )
    arrow = base.transform_filter(IS_FOCUS).mark_rule(strokeWidth=2).encode(y2="baseline:Q", color=alt.value("var(--faint)"))
    points = base.mark_point(filled=True, opacity=1, strokeWidth=2).encode(
        color=alt.Color("learner:N", scale=colours(learners), legend=None),
        size=alt.condition(IS_FOCUS, alt.value(220), alt.value(110)),
        tooltip=[
            alt.Tooltip("learner:N"),
            alt.Tooltip("accuracy:Q", title="top-1 %", format=".2f"),
            alt.Tooltip("cost:Q", title="cost", format=".3~s"),
        ],
    )
    told = base.transform_filter(f"datum.learner == 'teacher' || datum.learner == {json.dumps(baseline)} || {IS_FOCUS}")
    names = told.mark_text(align="left", dx=12, fontSize=13, fontWeight=600).encode(
        text="learner:N", color=alt.Color("learner:N", scale=colours(learners), legend=None)
    )
    layers = alt.layer(arrow, points, names).add_params(*parameters(learners, focus, cost_name=first_cost))
    return finished(layers.properties(height=300), data)
