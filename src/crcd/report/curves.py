"""What the runs of a subject measured after each epoch, over its seeds."""

from collections.abc import Iterator
from statistics import mean
from typing import NamedTuple

from crcd.methods import find_method, method_parts
from crcd.report.runs import Run
from crcd.report.subject import Subject
from crcd.train.config import DistillConfig
from crcd.train.schedule import distillation_weight

MOST_EPOCHS = 120
"""Epochs of a curve; of more, evenly chosen ones and the last."""
NO_PARTS = ("epoch", "learner", "top1", "agreement", "lr", "seconds", "step_seconds", "images_per_second")
"""What a metrics line has beside the parts of the loss and the bounds of mutual information."""


class Point(NamedTuple):
    """One number of one learner after one epoch: its mean, least and greatest value over the seeds."""

    learner: str
    epoch: int
    name: str
    mean: float
    low: float
    high: float


def curve_points(subject: Subject) -> list[Point]:
    """All numbers of all learners."""
    found: dict[tuple[str, int, str], list[float]] = {}
    for learner, own in subject.runs.items():
        for run in own.values():
            for epoch, name, value in _numbers(run, learner):
                found.setdefault((learner, epoch, name), []).append(value)
    return [
        Point(learner, epoch, name, mean(values), min(values), max(values))
        for (learner, epoch, name), values in found.items()
    ]


def loss_parts(points: list[Point]) -> list[str]:
    """Names of the loss and its parts, in the order in which they came."""
    names = dict.fromkeys(point.name for point in points)
    return [name for name in names if name not in NO_PARTS and not name.endswith("mi_bound")]


def weight_points(subject: Subject) -> list[Point]:
    """Weights of the terms of each learner's loss in every epoch, from the settings; terms of one weight are one."""
    points = []
    for learner in subject.learners:
        config = subject.run(learner).config
        epochs = _kept(config.epochs)
        by_epoch = [term_weights(config, learner, epoch - 1) for epoch in epochs]
        alike: dict[tuple[float, ...], list[str]] = {}
        for name in by_epoch[0]:
            alike.setdefault(tuple(weights[name] for weights in by_epoch), []).append(name)
        for values, names in alike.items():
            for epoch, value in zip(epochs, values, strict=True):
                points.append(Point(learner, epoch, ", ".join(names), value, value, value))
    return points


def term_weights(config: DistillConfig, learner: str, epoch: int) -> dict[str, float]:
    """Weights by term in an epoch, from 0: of cross-entropy, and of what the methods call weight, as METHOD.SETTING."""
    settings = config.method_settings(learner)
    share = distillation_weight(config.distill_until, config.epochs, epoch)
    beside = [getattr(own, "ce_weight", find_method(part)[0].ce_weight) for part, own in settings.items()]
    weights = {"cross-entropy": float(max(beside, default=1.0))}
    for part in method_parts(learner):
        for name, value in vars(settings[part]).items():
            if name != "ce_weight" and (name == "weight" or name.endswith("_weight")):
                weights[f"{part}.{name}"] = share * value
    return weights


def _numbers(run: Run, learner: str) -> Iterator[tuple[int, str, float]]:
    kept = _kept(run.config.epochs)
    for record in run.history:
        if record["learner"] == learner and record["epoch"] in kept:
            for name, value in record.items():
                if name not in ("epoch", "learner", "seconds", "step_seconds", "images_per_second"):
                    yield record["epoch"], name, value


def _kept(epochs: int) -> list[int]:
    if epochs <= MOST_EPOCHS:
        return list(range(1, epochs + 1))
    return sorted({round(1 + i * (epochs - 1) / (MOST_EPOCHS - 1)) for i in range(MOST_EPOCHS)})
