"""How training went."""

from crcd.errors import CrcdError
from crcd.report.charts.training import curve, weights
from crcd.report.curves import Point, curve_points, loss_parts, weight_points
from crcd.report.figure import Figure
from crcd.report.source import Source

NAMES = {
    "loss": "whole loss",
    "ce": "cross-entropy",
    "kd": "kd, logit distillation",
    "feature": "relations of features",
    "gradient": "relations of gradients",
    "mi_bound": "of feature relations, nats",
    "gradient_mi_bound": "of gradient relations, nats",
    "crd_mi_bound": "of CRD's features, nats",
}
"""What parts of a metrics line are called; others by their own name."""


def accuracy_figure(source: Source) -> Figure:
    """Accuracy and agreement over the epochs."""
    points = curve_points(source.subject)
    top1 = source.subject.column.teachers().mean
    charts = [curve(_of(points, "top1"), source.cast, "top-1 %", teacher=top1, height=260)]
    if agreement := _of(points, "agreement"):
        title = "agreement with the teacher, %"
        charts.append(curve(agreement, source.cast, title, height=260))
    reading = "Accuracy after each epoch (dashed: the teacher's), and how often student and teacher name one class."
    return Figure(reading + _band(points), charts, columns=2)


def loss_figure(source: Source) -> Figure:
    """The loss and its parts."""
    points = curve_points(source.subject)
    charts = [curve(_of(points, name), source.cast, NAMES.get(name, name)) for name in loss_parts(points)]
    reading = (
        "Means of each epoch's steps. A part with a method's name is that method's whole term, its weights within it; "
        "cross-entropy and the parts of a term, such as relations, are without theirs. A learner is drawn where it has "
        "that part."
    )
    return Figure(reading + _band(points), charts, columns=3)


def bounds_figure(source: Source) -> Figure:
    """Lower bounds of mutual information."""
    points = curve_points(source.subject)
    names = dict.fromkeys(point.name for point in points if point.name.endswith("mi_bound"))
    if not names:
        raise CrcdError("no learner contrasts relations: the bound is one of crcd and crd")
    charts = [curve(_of(points, name), source.cast, NAMES.get(name, name)) for name in names]
    reading = (
        "Lower bounds of what both share: the higher, the more the student's relations tell of the teacher's; one "
        "below zero says nothing."
    )
    return Figure(reading + _band([point for point in points if point.name in names]), charts, columns=3)


def schedule_figure(source: Source) -> Figure:
    """Learning rate and weights."""
    points = curve_points(source.subject)
    charts = [
        curve(_of(points, "lr"), source.cast, "learning rate at the epoch's end", height=210),
        weights(weight_points(source.subject), source.cast, "weights of the terms"),
    ]
    reading = "The learning rate, which all learners share, and the factor of each term in the chosen learner's loss."
    return Figure(reading, charts, columns=2)


def _of(points: list[Point], name: str) -> list[Point]:
    return [point for point in points if point.name == name]


def _band(points: list[Point]) -> str:
    several = any(point.low < point.high for point in points)
    return " Lines are means over seeds, bands reach from the least to the greatest." if several else ""
