"""Right and wrong answers: classes, confusions, confidence, agreement."""

from collections.abc import Sequence

import altair as alt

from crcd.report.charts.parts import IS_FOCUS, IS_SHOWN, colours, emphasis, finished, named, parameters
from crcd.report.figure import Chart, Columns
from crcd.report.outcomes import AGREEMENT

BETTER, WORSE = "var(--better)", "var(--worse)"
ROW = 19
"""Height of a bar and its gap, pixels."""


def class_gains(data: Columns, learners: Sequence[str], focus: str, rows: int, baseline: str) -> Chart:
    """Difference of accuracies by class, sorted as is chosen (``sort_by``: gain, accuracy or number)."""
    base = (
        alt.Chart(named())
        .transform_filter(IS_FOCUS)
        .transform_calculate(
            key="sort_by == 'number' ? datum.number : sort_by == 'accuracy' ? datum.accuracy : -datum.gain",
        )
        .encode(
            y=alt.Y("name:N", title=None, sort=alt.EncodingSortField("key", op="min"), axis=alt.Axis(labelLimit=140, ticks=False, domain=False)),
        )
    )
    tooltip = [
        alt.Tooltip("name:N", title="class"),
        alt.Tooltip("gain:Q", title="gain, points", format="+.1f"),
        alt.Tooltip("baseline:Q", title=f"{baseline}, %", format=".1f"),
        alt.Tooltip("accuracy:Q", title="student, %", format=".1f"),
        alt.Tooltip("images:Q"),
    ]
    bars = base.mark_bar(height={"band": 0.72}, cornerRadius=1).encode(
        x=alt.X("gain:Q", title="points", axis=alt.Axis(tickCount=6)),
        color=alt.condition("datum.gain >= 0", alt.value(BETTER), alt.value(WORSE)),
        tooltip=tooltip,
    )
    zero = base.mark_tick(thickness=2, color="var(--faint)").encode(x=alt.datum(0), tooltip=tooltip)
    layers = alt.layer(bars, zero).add_params(*parameters(learners, focus, sort_by="gain"))
    return finished(layers.properties(height=ROW * rows + 30), data)


def confusions(data: Columns, learners: Sequence[str], focus: str, rows: int, title: str, colour: str) -> Chart:
    """Numbers of errors of a kind, the baseline's as a ring and the student's as a dot, joined."""
    base = alt.Chart(named()).transform_filter(IS_FOCUS).encode(
        y=alt.Y("pair:N", title=None, sort=alt.EncodingSortField("rank", op="min"), axis=alt.Axis(labelLimit=200, ticks=False, domain=False)),
        tooltip=[alt.Tooltip("pair:N", title="class, answer"), alt.Tooltip("before:Q", title="baseline"), alt.Tooltip("after:Q", title="student")],
    )
    x = alt.Axis(tickMinStep=1, tickCount=5, format="d")
    rule = base.mark_rule(strokeWidth=3, opacity=0.5).encode(x=alt.X("before:Q", title="images", axis=x), x2="after:Q", color=alt.value(colour))
    ring = base.mark_point(size=70, strokeWidth=2).encode(x="before:Q", color=alt.value(colour), fill=alt.value("var(--card)"))
    dot = base.mark_point(filled=True, size=90, opacity=1).encode(x="after:Q", color=alt.value(colour))
    layers = alt.layer(rule, ring, dot).add_params(*parameters(learners, focus))
    return finished(layers.properties(height=ROW * max(rows, 2) + 40), data, title)


def calibration(data: Columns, learners: Sequence[str], focus: str) -> Chart:
    """Accuracy over confidence, beside the line on which a network is as sure as it is right."""
    base = alt.Chart(named()).transform_filter(f"datum.learner == 'teacher' || {IS_SHOWN}").encode(
        x=alt.X("confidence:Q", title="mean confidence, %", scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(tickCount=5)),
        y=alt.Y("accuracy:Q", title="right, %", scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(tickCount=5)),
        color=alt.Color("learner:N", scale=colours(learners), legend=None),
    )
    line = base.mark_line().encode(strokeWidth=emphasis(2.4, 1.1))
    points = base.mark_point(filled=True, opacity=1).encode(
        size=alt.Size("images:Q", scale=alt.Scale(range=[12, 200]), legend=None),
        opacity=emphasis(1, 0.5),
        tooltip=[
            alt.Tooltip("learner:N"),
            alt.Tooltip("images:Q"),
            alt.Tooltip("confidence:Q", title="confidence, %", format=".1f"),
            alt.Tooltip("accuracy:Q", title="right, %", format=".1f"),
        ],
    )
    diagonal = alt.Chart(named("diagonal")).mark_line(strokeDash=[5, 4], strokeWidth=1, color="var(--faint)").encode(x="at:Q", y="at:Q")
    layers = alt.layer(diagonal, line, points).add_params(*parameters(learners, focus))
    return finished(layers, data, square=True, diagonal={"at": [0, 100]})


def agreement(data: Columns, learners: Sequence[str], focus: str) -> Chart:
    """How each learner's answers and the teacher's go together, a bar each."""
    order = list(AGREEMENT)
    range_ = ["var(--agree-0)", "var(--agree-1)", "var(--agree-2)", "var(--agree-3)", "var(--agree-4)"]
    chart = alt.Chart(named()).transform_filter(IS_SHOWN).mark_bar(height={"band": 0.7}).encode(
        y=alt.Y("learner:N", title=None, sort=list(learners), axis=alt.Axis(ticks=False, domain=False, labelLimit=150)),
        x=alt.X("share:Q", title="% of the test images", scale=alt.Scale(domain=[0, 100])),
        color=alt.Color(
            "case:N",
            scale=alt.Scale(domain=order, range=range_),
            legend=alt.Legend(title=None, orient="top", columns=2, symbolType="square", labelLimit=220),
        ),
        order=alt.Order("place:Q"),
        opacity=emphasis(1, 0.6),
        tooltip=[alt.Tooltip("learner:N"), alt.Tooltip("case:N"), alt.Tooltip("images:Q"), alt.Tooltip("share:Q", title="%", format=".1f")],
    )
    return finished(chart.add_params(*parameters(learners, focus)).properties(height=34 * (len(learners) - 1) + 90), data)
