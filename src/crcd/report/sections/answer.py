"""The answer in a sentence and in a few big numbers."""

from dataclasses import dataclass

from crcd.compare.statistics import Spread, spread_over_seeds
from crcd.errors import CrcdError
from crcd.methods import PLAIN
from crcd.report.cost import BATCHES, Cost
from crcd.report.gain import Gain
from crcd.report.networks import TEACHER
from crcd.report.source import Source
from crcd.report.words import SPACE, interval, milliseconds, points, short, three, times
from crcd.train.device import describe


@dataclass(frozen=True)
class Tile:
    """A big number.

    Attributes:
        label: what it is.
        number: the number.
        note: below it.
        learner: whose colour it has; empty for none's.
    """

    label: str
    number: str
    note: str = ""
    learner: str = ""


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
    return Answer(
        learner,
        _sentence(source, learner),
        [*_accuracy_tiles(source, learner), *_cost_tiles(source.costs[learner], source.costs[TEACHER])],
    )


def _sentence(source: Source, learner: str) -> str:
    subject, gain = source.subject, source.gain(learner)
    run, own = subject.run(learner), _top1(source, learner)
    taught = "on its own" if learner == PLAIN else f"taught by {learner}"
    images = f"{run.summary['scored_images']:,} {run.summary['scored_on']} images"
    seeds = f" (mean of {own.n} seeds)" if own.n > 1 else ""
    more = ""
    if gain is not None:
        than = "on its own" if subject.baseline == PLAIN else f"taught by {subject.baseline}"
        size = f"{abs(gain.points):.2f} points {'more' if gain.points > 0 else 'fewer'} than"
        more = f", {size if round(gain.points, 2) else 'as much as'} {than}"
    return (
        f"{run.config.student} {taught} gets {_percent(own)} of {images} right{seeds}{more}, "
        f"{_thrift(source.costs[learner], source.costs[TEACHER])} of its teacher, {run.config.teacher}, "
        f"which gets {_percent(_top1(source, TEACHER))}.{_best_other(source, learner)}"
    )


def _best_other(source: Source, learner: str) -> str:
    """Which of the other distilled learners gets most; empty where there is none."""
    others = {name: _top1(source, name) for name in source.subject.distilled if name != learner}
    if not others:
        return ""
    best = max(others, key=lambda name: others[name].mean)
    return f" Of the other methods {best} gets most, {_percent(others[best])}."


def _thrift(own: Cost, teacher: Cost) -> str:
    text = f"with {_share(own.parameters, teacher.parameters)} the parameters"
    if not own.latency:
        return f"{text} and {_share(own.multiply_adds, teacher.multiply_adds)} the multiply-adds"
    return f"{text} and {_share(own.latency[BATCHES[-1]], teacher.latency[BATCHES[-1]])} the time"


def _accuracy_tiles(source: Source, learner: str) -> list[Tile]:
    baseline, gain = source.subject.baseline, source.gain(learner)
    tiles = []
    for name in dict.fromkeys((baseline, learner, TEACHER)):
        label = {PLAIN: "student alone", TEACHER: "teacher"}.get(name, f"distilled by {name}")
        top1 = _top1(source, name)
        network = source.subject.first.config.teacher if name == TEACHER else source.subject.first.config.student
        tiles.append(Tile(label, f"{top1.mean:.2f}{SPACE}%", f"{network}{_spread(top1)}", name))
    if gain is not None:
        note = "" if gain.over is None else f"points; 95 % interval over {_over(gain)}: {interval(gain.low, gain.high)}"
        tiles.append(Tile("gain", points(gain.points), note or "points; no interval"))
    return tiles


def _cost_tiles(own: Cost, teacher: Cost) -> list[Tile]:
    pairs = [
        ("parameters", short(own.parameters), short(teacher.parameters)),
        ("multiply-adds", short(own.multiply_adds), short(teacher.multiply_adds)),
    ]
    if own.file_bytes is not None and teacher.file_bytes is not None:
        pairs.append(("on disk", short(own.file_bytes, "B"), short(teacher.file_bytes, "B")))
    tiles = [Tile("smaller", times(teacher.parameters / own.parameters), _instead(pairs))]
    if own.latency:
        took = [
            (f"for a batch of{SPACE}{batch}", milliseconds(own.latency[batch]), milliseconds(teacher.latency[batch]))
            for batch in BATCHES
        ]
        tiles.append(Tile("faster", times(teacher.latency[BATCHES[-1]] / own.latency[BATCHES[-1]]), _instead(took)))
    return tiles


def measured_where(source: Source) -> str:
    """How latencies were measured; why not where they weren't."""
    try:
        device = describe(source.readings.material.device)
    except CrcdError as error:
        return f"Latency was not measured: {error}."
    return (
        f"Latency is the median forward pass on this machine, {device}, in float32 with batch normalisations folded, "
        f"not compiled, for batches of {BATCHES[0]} and {BATCHES[1]} images; faster compares the latter. Multiply-adds "
        "are those of convolutions and matrix products for one image."
    )


def _top1(source: Source, name: str) -> Spread:
    column = source.subject.column
    return column.teachers() if name == TEACHER else spread_over_seeds(column.scores(name))


def _percent(value: Spread) -> str:
    return f"{value}{SPACE}%"


def _spread(value: Spread) -> str:
    return f", ± {value.std:.2f}{_seeds(value)}" if value.n > 1 else ""


def _seeds(value: Spread) -> str:
    return f", mean of {value.n} seeds" if value.n > 1 else ""


def _over(gain: Gain) -> str:
    return f"{gain.n} seeds" if gain.over == "seeds" else "test images"


def _share(own: float, whole: float) -> str:
    """What part one number is of another: 1/3.5 of, all of, or 1.2 times."""
    large, small = (three(round(ratio, 1)) for ratio in (own / whole, whole / own))
    return "all of" if large == small == "1" else f"1/{small} of" if own < whole else f"{large} times"


def _instead(pairs: list[tuple[str, str, str]]) -> str:
    """One line a pair."""
    return "\n".join(f"{own} of {teacher} {name}" for name, own, teacher in pairs)
