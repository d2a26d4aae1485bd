"""The runs that a report is about."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crcd.config_file import fill, read_yaml
from crcd.errors import CrcdError
from crcd.train.config import DistillConfig
from crcd.train.run_folder import RunFolder


@dataclass(frozen=True)
class Run:
    """An ended run of distillation.

    Attributes:
        folder: its files.
        config: its settings.
        summary: what it came to.
        history: its metrics, one record an epoch and learner.
    """

    folder: RunFolder
    config: DistillConfig
    summary: dict[str, Any]
    history: list[dict[str, Any]]

    @property
    def learners(self) -> dict[str, dict[str, Any]]:
        """What each learner came to, by its name."""
        learners: dict[str, dict[str, Any]] = self.summary["learners"]
        return learners

    @property
    def teacher(self) -> dict[str, Any]:
        """What its teacher is."""
        teacher: dict[str, Any] = self.summary["teacher"]
        return teacher


def find_runs(paths: Sequence[Path], note: Callable[[str], None] = lambda _: None) -> list[Run]:
    """The runs in some folders, by seed: each is one of a run, or holds such folders, as that of ``crcd compare`` does.

    Args:
        paths: the folders.
        note: is told of runs in them that have not ended and are left out, in words.

    Raises:
        CrcdError: a folder has no ended run of ``crcd distill`` in it.
    """
    folders = dict.fromkeys(folder for path in paths for folder in _folders(path, note))
    return sorted((_read(RunFolder(folder)) for folder in folders), key=lambda run: run.config.seed)


def _folders(path: Path, note: Callable[[str], None]) -> Iterator[Path]:
    if RunFolder(path).config.is_file():
        yield path.resolve()
        return
    begun = [inner.parent.resolve() for inner in sorted(path.glob("*/config.yaml"))]
    ended = [inner for inner in begun if RunFolder(inner).summary.is_file()]
    for inner in begun:
        if inner not in ended:
            note(f"left out: the run in {inner} has not ended")
    if not ended:
        raise CrcdError(f"{path}: there is no ended run here; name the folder of a crcd distill or crcd compare")
    yield from ended


def _read(folder: RunFolder) -> Run:
    settings = read_yaml(folder.config)
    if "teacher" not in settings:
        raise CrcdError(f"{folder.path}: not a run of crcd distill, and a report is about distillation; name one")
    if not folder.summary.is_file():
        raise CrcdError(
            f"{folder.path}: the run has not ended (no summary.json); go on with it first: crcd distill --resume "
            f"{folder.path}"
        )
    config = fill(DistillConfig(), settings, folder.config)
    return Run(folder, config, folder.read_summary(), folder.read_metrics())
