"""Which network of which run is handed on, and what the run says of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from crcd.compare.statistics import Spread, spread
from crcd.config_file import WITHOUT_EFFECT, read_yaml
from crcd.errors import CrcdError, unknown
from crcd.evaluate.pretrained import read_network
from crcd.export.description import Description
from crcd.methods.names import split_name
from crcd.models import read_metadata
from crcd.train.run_folder import RunFolder

TEACHER = "teacher"
PER_RUN = frozenset({"seed", "methods", *WITHOUT_EFFECT})
"""Settings in which runs over several seeds may differ."""


@dataclass(frozen=True)
class Source:
    """A trained network, and how it came about.

    Attributes:
        run: the folder of its run.
        learner: what it is called there.
        model: the network, in eval mode.
        description: what it is and how it is fed.
        settings: of the run.
        summary: what the run came to.
        top1: its accuracy over all runs that were given, percent.
    """

    run: Path
    learner: str
    model: nn.Module
    description: Description
    settings: dict[str, Any]
    summary: dict[str, Any]
    top1: Spread

    @property
    def scores(self) -> dict[str, Any]:
        """Scores and cost of the network itself, in the run's summary."""
        return entry(self.summary, self.learner)


def read_source(runs: Sequence[Path], learner: str | None, model: str | None = None) -> Source:
    """A network of the first run.

    Args:
        runs: folders of ended runs that differ in their seed alone; the others count in the accuracy.
        learner: which one; None as for ``choose_learner``.
        model: name of its network where its weights name code.

    Raises:
        CrcdError: a folder is no run that has ended, the network is not in it, or the runs differ in more than seeds.
    """
    run, *others = map(RunFolder, dict.fromkeys(runs))
    summary = read_summary(run)
    learner = choose_learner(run, summary, learner)
    settings = read_yaml(run.config)
    summaries = [summary, *(_read_other(other, run, settings, learner) for other in others)]
    seeds = [own["seed"] for own in summaries]
    if len(set(seeds)) < len(seeds):
        raise CrcdError(f"the runs have seeds {', '.join(map(str, seeds))}: give runs of different seeds")
    file = run.weights(learner)
    description = Description.read(read_metadata(file), f"weights {file}", model)
    network = read_network(file, model).viewer.model.eval()
    top1 = spread([entry(own, learner)["top1"] for own in summaries])
    return Source(run.path, learner, network, description, settings, summary, top1)


def choose_learner(run: RunFolder, summary: dict[str, Any], asked: str | None) -> str:
    """The one that was asked for; else the only one of the run, or the only one that learned by crcd.

    Raises:
        CrcdError: it is not in the run, or none was asked for and there are several.
    """
    learners: list[str] = list(summary["learners"])
    if asked is not None:
        known = [*learners, *([TEACHER] if run.weights(TEACHER).is_file() else [])]
        if asked not in known:
            raise unknown(f"learner of run {run.path}", asked, known)
        return asked
    by_crcd: list[str] = [name for name in learners if "crcd" in split_name(name)[0]]
    for candidates in (learners, by_crcd):
        if len(candidates) == 1:
            return candidates[0]
    raise CrcdError(f"run {run.path} has several learners: name one with --learner: {', '.join(learners)}")


def read_summary(run: RunFolder) -> dict[str, Any]:
    """What a run came to.

    Raises:
        CrcdError: the folder is no run, or one that has not ended.
    """
    if not run.config.is_file():
        raise CrcdError(f"{run.path}: there is no run here (no config.yaml); name the folder of a run")
    if not run.summary.is_file():
        raise CrcdError(f"run {run.path}: it has not ended (no summary.json); go on with it first: --resume {run.path}")
    return run.read_summary()


def entry(summary: dict[str, Any], learner: str) -> dict[str, Any]:
    """Scores and cost of a network of a run."""
    found: dict[str, Any] = summary[TEACHER] if learner == TEACHER else summary["learners"][learner]
    return found


def _read_other(other: RunFolder, run: RunFolder, settings: dict[str, Any], learner: str) -> dict[str, Any]:
    """Summary of a run that differs in its seed alone."""
    summary = read_summary(other)
    choose_learner(other, summary, learner)
    own = read_yaml(other.config)
    differing = [
        name for name in settings.keys() | own.keys() if name not in PER_RUN and settings.get(name) != own.get(name)
    ]
    if differing:
        raise CrcdError(
            f"runs {run.path} and {other.path} differ in {', '.join(sorted(differing))}: give runs that differ in "
            "their seed alone"
        )
    return summary
