"""All learners beside one another: accuracy against cost, and a table."""

from dataclasses import replace

from crcd.compare.statistics import spread_over_seeds
from crcd.compare.table import SCORES, tables
from crcd.report.charts.answer import trade_off
from crcd.report.cost import BATCHES
from crcd.report.figure import Choice, Columns, Figure
from crcd.report.networks import TEACHER
from crcd.report.source import Source
from crcd.report.words import interval, points, with_minus


def trade_off_figure(source: Source) -> Figure:
    """Accuracy against each cost."""
    subject = source.subject
    names = [*subject.learners, TEACHER]
    costs = [source.costs[name] for name in names]
    columns: dict[str, tuple[str, list[float | None]]] = {
        "parameters": ("parameters", [cost.parameters for cost in costs]),
        "multiply_adds": ("multiply-adds an image", [cost.multiply_adds for cost in costs]),
        "file_bytes": ("bytes of the weights' file", [cost.file_bytes for cost in costs]),
    }
    for batch in BATCHES:
        took = [1000 * cost.latency[batch] if cost.latency else None for cost in costs]
        columns[f"latency_{batch}"] = (f"milliseconds for a batch of {batch}", took)
    columns = {name: column for name, column in columns.items() if None not in column[1]}
    top1 = {name: spread_over_seeds(subject.column.scores(name)).mean for name in subject.learners}
    data: Columns = {
        "learner": names,
        "accuracy": [*top1.values(), subject.column.teachers().mean],
        "baseline": [top1[subject.baseline]] * len(names),
        **{name: values for name, (_, values) in columns.items()},
    }
    reading = "Up is better, left is cheaper, costs by factors; the line is what distillation adds to the same student."
    choice = Choice("cost_name", "cost", {name: label for name, (label, _) in columns.items()})
    return Figure(reading, [trade_off(data, source.cast, next(iter(columns)))], [choice])


def scores_figure(source: Source) -> Figure:
    """All learners in a table."""
    subject = source.subject
    ece = subject.first.teacher.get("ece")
    shown = ["" if name != "ece" or ece is None else f"{ece:.{digits}f}" for name, (_, digits) in SCORES.items()]
    several = len(subject.pairs) > 1
    rows = [{"name": TEACHER, "cells": [*([""] if several else []), str(subject.column.teachers()), "", "", *shown]}]
    for learner in subject.learners:
        gain = source.gain(learner)
        top1 = spread_over_seeds(subject.column.scores(learner))
        cells = [
            str(top1),
            "" if gain is None else points(gain.points),
            "" if gain is None or gain.over is None else interval(gain.low, gain.high),
        ]
        for name, (_, digits) in SCORES.items():
            found = subject.column.scores(learner, name)
            cells.append(f"{spread_over_seeds(found).mean:.{digits}f}" if found else "")
        if several:
            cells.insert(0, str(top1.n))
        rows.append({"name": learner, "cells": cells})
    header = [
        *(["seeds"] if several else []),
        "top-1 %",
        f"less {subject.baseline}",
        "95 % interval",
        *(heading for heading, _ in SCORES.values()),
    ]
    reading = (
        "Agreement and CKA with the teacher are better high; KL divergence from it, the calibration error ECE and the "
        "difference of class correlations are better low."
    )
    content = {"header": header, "rows": rows, "caption": "", "notes": [_how_sure(source)]}
    return Figure(reading, template="scores.html", content=content)


def setups_figure(source: Source) -> Figure:
    """Tables of several setups."""
    drawn = tables([setup.column for setup in source.setups])[:2]
    reading = f"All other figures are of {source.subject.label}; a report of another setup's runs alone shows that one."
    shown = [replace(table, rows=[[*map(with_minus, row)] for row in table.rows]) for table in drawn]
    return Figure(reading, template="setups.html", content={"tables": shown})


def _how_sure(source: Source) -> str:
    kinds = {gain.over for name in source.subject.distilled if (gain := source.gain(name)) is not None}
    texts = []
    if "seeds" in kinds:
        texts.append(
            "± is the standard deviation over seeds; differences are means over the seeds that both have, a seed "
            "once, with t intervals."
        )
    if "images" in kinds:
        texts.append(
            "There is one seed. Intervals over test images are Wald's for matched pairs with half an image added to "
            "each cell (Agresti and Min 2005): they tell these two networks apart, and say nothing of other seeds."
        )
    if None in kinds:
        texts.append("Without interval: there is one seed, under several teachers or with images that were not read.")
    return " ".join(texts)
