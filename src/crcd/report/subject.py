"""What a report compares: the learners of one setup, over the seeds at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crcd.compare.cell import Cell, shared_settings
from crcd.compare.ledger import Entry
from crcd.compare.table import Column
from crcd.data import TOLD_BY_NAME
from crcd.errors import CrcdError
from crcd.methods import PLAIN, method_parts
from crcd.report.runs import Run

UNTOLD = ("data", "teacher", "student")
"""Settings that need not tell setups apart: they are named anyway."""


@dataclass(frozen=True)
class Subject:
    """Learners that differ in their method alone.

    Attributes:
        label: what all of them share, in words.
        column: what each came to, by method, then by seed and teacher.
        runs: where each lies, likewise.
        shown: seed and teacher whose networks are looked at more closely.
    """

    label: str
    column: Column
    runs: dict[str, dict[tuple[int, str], Run]]
    shown: tuple[int, str]

    @property
    def baseline(self) -> str:
        """Learner that the others are compared with."""
        return self.column.baseline

    @property
    def learners(self) -> list[str]:
        """Names of the learners whose networks are looked at."""
        return [name for name, own in self.runs.items() if self.shown in own]

    @property
    def pairs(self) -> list[tuple[int, str]]:
        """Seeds and teachers that any learner has."""
        return list(dict.fromkeys(pair for own in self.runs.values() for pair in own))

    @property
    def absent(self) -> str:
        """Which learners the page has nothing of, in words; empty if there are none."""
        names = [name for name in self.runs if name not in self.learners]
        return f"Left out, for want of a run of seed {self.shown[0]}: {', '.join(names)}." if names else ""

    @property
    def distilled(self) -> list[str]:
        """The learners but for the baseline."""
        return [name for name in self.learners if name != self.baseline]

    @property
    def focus(self) -> str:
        """The learner to look at first: the last one with CRCD, of the run's own settings if any is, or the last."""
        others = self.distilled or self.learners
        with_crcd = [name for name in others if "crcd" in method_parts(name)]
        usual = [name for name in with_crcd if "@" not in name]
        return (usual or with_crcd or others)[-1]

    @property
    def of_one_run(self) -> str:
        """Which networks are looked at, in words; empty if there are no others."""
        if len(self.pairs) == 1:
            return ""
        seed, teacher = self.shown
        several = len({weights for _, weights in self.pairs}) > 1
        of = f"seed {seed}, teacher {teacher[:16]}" if several else f"seed {seed}"
        return f"These figures are of the networks of {of} alone, one of {len(self.pairs)}: other seeds differ from it."

    def run(self, learner: str) -> Run:
        """The run of a learner whose networks are looked at."""
        return self.runs[learner][self.shown]

    @property
    def first(self) -> Run:
        """Any of these runs: they share data, teacher and initial student."""
        return self.run(self.learners[0])

    def entry(self, learner: str) -> dict[str, Any]:
        """What such a learner came to."""
        return self.run(learner).learners[learner]


def subjects(runs: Sequence[Run], baseline: str | None) -> list[Subject]:
    """The setups of some runs, in their order, with the learners of each.

    Args:
        runs: ended runs, at least one.
        baseline: learner to compare with; None takes the student alone (ce), or the first learner.

    Raises:
        CrcdError: the baseline is none of the learners, or two learners of a name have other settings.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(repr(_shared(run)), []).append(run)
    firsts = [_shared(own[0]) for own in groups.values()]
    differing = [name for name in firsts[0] if name not in UNTOLD and len({repr(own.get(name)) for own in firsts}) > 1]
    return [_subject(own, differing, baseline) for own in groups.values()]


def _shared(run: Run) -> dict[str, Any]:
    """What runs of a setup have in common: settings, and the place of images that no name stands for."""
    config = run.config
    place = config.data_dir if config.data not in TOLD_BY_NAME else None
    return {**shared_settings(config), "data_dir": place and str(place.absolute())}


def _subject(runs: Sequence[Run], differing: Sequence[str], baseline: str | None) -> Subject:
    config, shared = runs[0].config, _shared(runs[0])
    label = " ".join(
        [f"{config.data}: {config.teacher} to {config.student}", *(f"{name}={shared.get(name)}" for name in differing)]
    )
    entries: dict[str, dict[tuple[int, str], Entry]] = {}
    places: dict[str, dict[tuple[int, str], Run]] = {}
    methods: dict[str, str] = {}
    for run in runs:
        for name in run.learners:
            method = Cell.of(run.config, name, None).method
            if methods.setdefault(name, method) != method:
                raise CrcdError(
                    f"{run.folder.path}: its learner '{name}' has other settings than that of another run: make a "
                    "report of each"
                )
            entry = _entry(run, name, label)
            entries.setdefault(name, {})[entry.pair] = entry
            places.setdefault(name, {})[entry.pair] = run
    if not places:
        raise CrcdError(f"{runs[0].folder.path}: the run has no learner that reached its end")
    if baseline is not None and baseline not in places:
        raise CrcdError(f"--baseline {baseline} is none of the learners of {label}: {' '.join(places)}")
    chosen = baseline or (PLAIN if PLAIN in places else next(iter(places)))
    pairs = dict.fromkeys(pair for own in places.values() for pair in own)
    shown = max(pairs, key=lambda pair: (pair in places[chosen], sum(pair in own for own in places.values())))
    ordered = sorted(places, key=lambda name: name != chosen)
    column = Column(label, {name: entries[name] for name in ordered}, chosen)
    return Subject(label, column, {name: places[name] for name in ordered}, shown)


def _entry(run: Run, learner: str, label: str) -> Entry:
    top1 = [record["top1"] for record in run.history if record["learner"] == learner]
    about = {name: value for name, value in run.summary.items() if name not in ("learners", "teacher")}
    return Entry(
        recipe=run.config.recipe or "",
        setup=label,
        method=learner,
        seed=run.config.seed,
        result=run.learners[learner],
        top1_by_epoch=top1,
        teacher=run.teacher,
        run=about,
        settings={},
    )
