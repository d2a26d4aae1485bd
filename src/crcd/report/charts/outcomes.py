"""Right and wrong answers: classes, confusions, confidence, agreement."""

import json

import altair as alt

from crcd.report.charts.parts import IS_FOCUS, IS_SHOWN, Cast, counts_axis, emphasis, finished, named, rows_axis
from crcd.report.figure import Chart, Columns
from crcd.report.outcomes import AGREEMENT

BETTER, WORSE = "var(--better)", "var(--worse)"
ROW = 19
"""Height of a bar and its gap, pixels."""


def class_gains(data: Columns, cast: Cast, rows: int) -> Chart:
    """Difference of accuracies by class, sorted as is chosen (``sort_by``: gain, accuracy or number)."""
    key = "sort_by == 'number' ? datum.number : sort_by == 'accuracy' ? datum.accuracy : -datum.gain"
    order = alt.EncodingSortField("key", op="min")
    base = (
        named()
        .transform_filter(IS_FOCUS)
        .transform_calculate(key=key)
        .encode(
            y=alt.Y("name:N", title=None, sort=order, axis=rows_axis(140)),
            tooltip=[
                alt.Tooltip("name:N", title="class"),
                alt.Tooltip("gain:Q", title="gain, points", format="+.1f"),
                alt.Tooltip("baseline:Q", title=f"{cast.baseline}, %", format=".1f"),
                alt.Tooltip("accuracy:Q", title="chosen learner, %", format=".1f"),
                alt.Tooltip("images:Q"),
            ],
        )
    )
    bars = base.mark_bar(height={"band": 0.72}, cornerRadius=1).encode(
        x=alt.X("gain:Q", title="points", axis=alt.Axis(tickCount=6)),
        color=alt.condition("datum.gain >= 0", alt.value(BETTER), alt.value(WORSE)),
    )
    zero = base.mark_tick(thickness=2, color="var(--faint)").encode(x=alt.datum(0))
    layers = alt.layer(bars, zero)
    return finished(layers, cast, data, height=ROW * rows + 40, choices={"sort_by": "gain"}, of_focus=True)


def confusions(data: Columns, cast: Cast, rows: int, title: str, colour: str) -> Chart:
    """Numbers of errors of a kind, the baseline's as a ring and the learner's as a dot, joined."""
    order = alt.EncodingSortField("rank", op="min")
    base = (
        named()
        .transform_filter(IS_FOCUS)
        .encode(
            y=alt.Y("pair:N", title=None, sort=order, axis=rows_axis(180)),
            color=alt.value(colour),
            tooltip=[
                alt.Tooltip("pair:N", title="error"),
                alt.Tooltip("before:Q", title=cast.baseline),
                alt.Tooltip("after:Q", title="chosen learner"),
            ],
        )
    )
    before = alt.X("before:Q", title="images", axis=counts_axis(), scale=alt.Scale(domainMin=0))
    rule = base.mark_rule(strokeWidth=3, opacity=0.5).encode(x=before, x2="after:Q")
    ring = base.mark_point(size=70, strokeWidth=2, fill="var(--card)", opacity=1).encode(x=before)
    after = alt.X("after:Q", title="images", axis=counts_axis())
    dot = base.mark_point(filled=True, size=90, opacity=1).encode(x=after)
    height = ROW * max(rows, 2) + 45
    return finished(alt.layer(rule, ring, dot), cast, data, title, height=height, of_focus=True)


def calibration(data: Columns, cast: Cast) -> Chart:
    """Accuracy over confidence, beside the line on which a network is as sure as it is right."""
    percent = alt.Scale(domain=[0, 100])
    base = (
        named()
        .transform_filter(f"datum.learner == {json.dumps(cast.teacher)} || {IS_SHOWN}")
        .encode(
            x=alt.X("confidence:Q", title="mean confidence, %", scale=percent, axis=alt.Axis(tickCount=5)),
            y=alt.Y("accuracy:Q", title="right, %", scale=percent, axis=alt.Axis(tickCount=5)),
            color=cast.colour,
            opacity=emphasis(1, 0.55),
        )
    )
    line = base.mark_line().encode(strokeWidth=emphasis(2.4, 1.1))
    points = base.mark_point(filled=True).encode(
        size=alt.Size("images:Q", scale=alt.Scale(type="pow", exponent=0.5, range=[10, 500]), legend=None),
        tooltip=[
            alt.Tooltip("learner:N"),
            alt.Tooltip("images:Q"),
            alt.Tooltip("confidence:Q", title="confidence, %", format=".1f"),
            alt.Tooltip("accuracy:Q", title="right, %", format=".1f"),
        ],
    )
    diagonal = named("diagonal").mark_line(strokeDash=[5, 4], strokeWidth=1, color="var(--faint)")
    layers = alt.layer(diagonal.encode(x="at:Q", y="at:Q"), line, points)
    return finished(layers, cast, data, more={"diagonal": {"at": [0, 100]}})


def agreement(data: Columns, cast: Cast) -> Chart:
    """How each learner's answers and the teacher's go together, a bar each."""
    scale = alt.Scale(domain=list(AGREEMENT), range=[f"var(--agree-{i})" for i in range(len(AGREEMENT))])
    legend = alt.Legend(
        title=None,
        orient="top",
        columns=alt.ExprRef(expr="width < 420 ? 1 : 3"),
        symbolType="square",
        labelLimit=220,
        rowPadding=4,
    )
    chart = (
        named()
        .transform_filter(IS_SHOWN)
        .mark_bar(height={"band": 0.7})
        .encode(
            y=alt.Y("learner:N", title=None, sort=list(cast.learners), axis=rows_axis(150)),
            x=alt.X(
                "share:Q", title="% of the test images", scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(tickCount=5)
            ),
            color=alt.Color("case:N", scale=scale, legend=legend),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("learner:N"),
                alt.Tooltip("case:N"),
                alt.Tooltip("images:Q"),
                alt.Tooltip("share:Q", title="%", format=".1f"),
            ],
        )
    )
    return finished(chart, cast, data, height=34 * len(cast.learners) + 110)
