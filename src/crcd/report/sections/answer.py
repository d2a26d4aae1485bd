"""The answer: how good each learner is, and what it costs."""

import math
from dataclasses import dataclass

from crcd.compare.statistics import Spread, spread
from crcd.compare.table import SCORES, Table, tables
from crcd.errors import CrcdError
from crcd.methods import PLAIN
from crcd.report.charts.answer import trade_off
from crcd.report.cost import BATCHES, Cost
from crcd.report.figure import Choice, Columns, Figure
from crcd.report.gain import Gain
from crcd.report.networks import TEACHER
from crcd.report.source import Source
from crcd.report.words import milliseconds, points, short, times
from crcd.train.device import describe


@dataclass(frozen=True)
class Tile:
    """A big number, what it is, and a note below it."""

    label: str
    number: str
    note: str = ""
    learner: str = ""
    """Whose colour it has."""


@dataclass(frozen=True)
class Answer:
    """What one learner comes to.

    Attributes:
        learner: its name.
        sentence: the answer in words.
        tiles: in numbers.
    """

    learner: str
    sentence: str
    tiles: list[Tile]


def answer(source: Source, learner: str) -> Answer:
    """The answer about a learner."""
    subject, costs = source.subject, source.costs
    run = subject.run(learner)
    gain = source.gain(learner)
    own, alone = (spread(list(subject.column.scores(name).values())) for name in (learner, subject.baseline))
    teacher = subject.column.teachers()
    seeds = f", mean of {own.n} seeds" if own.n > 1 else ""
    taught = " on its own" if learner == PLAIN else f" taught by {learner}"
    text = [f"{run.config.student}{taught} gets {_percent(own)} of {run.summary['scored_images']:,} test images right{seeds}"]
    if gain is not None:
        than = "than on its own" if subject.baseline == PLAIN else f"than by {subject.baseline}"
        text.append(f", {abs(gain.points):.2f} points {'more' if gain.points >= 0 else 'fewer'} {than}{_interval(gain)}")
    text.append(f"; its teacher, {run.config.teacher}, gets {_percent(teacher)}.")
    text.append(_thrift(costs[learner], costs[TEACHER]))
    baseline = "student alone" if subject.baseline == PLAIN else f"student by {subject.baseline}"
    tiles = [Tile(baseline, _percent(alone), learner=subject.baseline)]
    if learner != subject.baseline:
        tiles.append(Tile(f"distilled by {learner}", _percent(own), learner=learner))
    tiles.append(Tile("teacher", _percent(teacher), learner=TEACHER))
    if gain is not None:
        tiles.append(Tile("gain, points", points(gain.points), _interval(gain).strip(" ()")))
    return Answer(learner, "".join(text), [*tiles, *_cost_tiles(costs[learner], costs[TEACHER])])


def trade_off_figure(source: Source) -> Figure:
    """Accuracy against each cost."""
    subject, costs = source.subject, source.costs
    top1 = {name: spread(list(subject.column.scores(name).values())).mean for name in subject.learners}
    top1[TEACHER] = subject.column.teachers().mean
    columns = {
        "parameters": ("parameters", [costs[name].parameters for name in top1]),
        "multiply_adds": ("multiply-adds an image", [costs[name].multiply_adds for name in top1]),
        "file_bytes": ("bytes of the weights' file", [costs[name].file_bytes for name in top1]),
    }
    for batch in BATCHES:
        times_of = [1000 * costs[name].latency[batch] if costs[name].latency else None for name in top1]
        columns[f"latency_{batch}"] = (f"milliseconds for a batch of {batch}", times_of)
    options = {name: label for name, (label, values) in columns.items() if None not in values}
    data: Columns = {
        "learner": list(top1),
        "accuracy": list(top1.values()),
        "baseline": [top1[subject.baseline]] * len(top1),
        **{name: columns[name][1] for name in options},
    }
    return Figure("Up is better and left is cheaper; the line is what distillation adds to the same student. Costs rise by factors.",
        [trade_off(data, source.networks, subject.focus, subject.baseline, next(iter(options)))],
        [Choice("cost_name", "cost", options)],
    )


def scores_figure(source: Source) -> Figure:
    """All learners in a table."""
    subject = source.subject
    rows = []
    for name in source.networks:
        own = {} if name == TEACHER else subject.column.scores(name)
        top1 = subject.column.teachers() if name == TEACHER else spread(list(own.values()))
        gain = None if name == TEACHER else source.gain(name)
        entry = subject.first.teacher if name == TEACHER else subject.entry(name)
        scores = []
        for score, (_, digits) in SCORES.items():
            found = list(subject.column.scores(name, score).values())
            value = spread(found).mean if found else entry.get(score)
            scores.append("" if value is None else f"{value:.{digits}f}")
        rows.append(
            {
                "name": name,
                "cells": [
                    str(top1),
                    "" if gain is None else points(gain.points),
                    "" if gain is None or gain.over is None else f"{points(gain.low)} to {points(gain.high)}",
                    *scores,
                ],
            }
        )
    header = ["top-1 %", f"less {subject.baseline}", "95 % interval", *(heading for heading, _ in SCORES.values())]
    reading = (
        "Agreement, KL divergence, CKA and the difference of class correlations compare each student with the teacher "
        "(nearer is higher for agreement and CKA, lower for the others); ECE is the calibration error."
    )
    content = {"header": header, "rows": rows, "caption": "", "notes": [_how_sure(source)]}
    return Figure(reading, template="scores.html", content=content)


def setups_figure(source: Source) -> Figure:
    """Tables of several setups."""
    entries = [
        entry for setup in source.setups for own in setup.column.entries.values() for entry in own.values()
    ]
    drawn: list[Table] = tables(entries, source.subject.baseline)[:2]
    reading = f"All other figures are of {source.subject.label}; crcd report with its runs alone shows another one's."
    return Figure(reading, template="setups.html", content={"tables": drawn})


def _how_sure(source: Source) -> str:
    kinds = {gain.over for name in source.subject.distilled if (gain := source.gain(name)) is not None}
    texts = []
    if "seeds" in kinds:
        texts.append("± is the standard deviation over seeds; intervals are t intervals of differences paired by seed.")
    if "images" in kinds:
        texts.append(
            "There is one seed. Intervals over test images are Wald's for matched pairs with half an image added to each "
            "cell (Agresti and Min 2005): they tell these two networks apart, and say nothing of how another seed would do."
        )
    if None in kinds:
        texts.append("Without interval: there is one seed, and the test images were not all read.")
    return " ".join(texts)


def _percent(value: Spread) -> str:
    return f"{value.mean:.2f} %" if value.n == 1 or math.isnan(value.std) else f"{value.mean:.2f} ± {value.std:.2f} %"


def _interval(gain: Gain) -> str:
    if gain.over is None:
        return ""
    over = f"{gain.n} seeds" if gain.over == "seeds" else "test images"
    return f" (95 % interval over {over}: {points(gain.low)} to {points(gain.high)})"


def _thrift(own: Cost, teacher: Cost) -> str:
    text = (
        f" It has {times(teacher.parameters / own.parameters)} fewer parameters and needs "
        f"{times(teacher.multiply_adds / own.multiply_adds)} fewer multiply-adds"
    )
    if own.latency:
        batch = BATCHES[-1]
        text += f"; a batch of {batch} takes {milliseconds(own.latency[batch])} instead of {milliseconds(teacher.latency[batch])}"
    return f"{text}."


def _cost_tiles(own: Cost, teacher: Cost) -> list[Tile]:
    file = ""
    if own.file_bytes is not None and teacher.file_bytes is not None:
        file = f"; file {short(own.file_bytes, 'B')} of {short(teacher.file_bytes, 'B')}"
    adds = f"{short(own.multiply_adds)} of {short(teacher.multiply_adds)} multiply-adds"
    note = f"{short(own.parameters)} of {short(teacher.parameters)} parameters; {adds}{file}"
    tiles = [Tile("smaller", times(teacher.parameters / own.parameters), note)]
    if own.latency:
        pairs = [f"{milliseconds(own.latency[n])} of {milliseconds(teacher.latency[n])} for a batch of {n}" for n in BATCHES]
        tiles.append(Tile("faster", times(teacher.latency[BATCHES[-1]] / own.latency[BATCHES[-1]]), "; ".join(pairs)))
    return tiles


def measured_where(source: Source) -> str:
    """How latencies were measured; why not where they weren't."""
    try:
        device = describe(source.readings.material.device)
    except CrcdError as error:
        return f"Latency was not measured: {error}."
    return (
        f"Latency: median forward pass here, on {device}, in float32 with batch normalisations folded, not compiled. "
        "Multiply-adds are those of convolutions and matrix products for one image."
    )
