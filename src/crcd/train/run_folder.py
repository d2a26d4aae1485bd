"""Where everything about one run lies."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from crcd import distributed
from crcd.config_file import fill, read_yaml, to_plain
from crcd.errors import CrcdError
from crcd.files import damaged, file_stem, plain_name, read_json, read_json_lines, write_text
from crcd.lock import LOCK, alone
from crcd.train.options import RunOptions

C = TypeVar("C", bound=RunOptions)

RUNS = Path("runs")
"""Where runs lie that are given no place."""

WHOLE = (
    *("data", "scored_on", "train_images", "scored_images", "epochs", "seed", "commit", "device"),
    *("learners", "step_seconds", "seconds"),
)
"""What every summary says."""


class RunFolder:
    """config.yaml, checkpoint.pt, metrics.jsonl, summary.json and the weights of one run.

    Args:
        path: the folder; ``create`` makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.checkpoint = path / "checkpoint.pt"
        self.metrics = path / "metrics.jsonl"
        self.summary = path / "summary.json"

    def weights(self, name: str) -> Path:
        """File for the weights of a learner or of the teacher."""
        return self.path / f"{file_stem(name)}.safetensors"

    def method_weights(self, name: str) -> Path:
        """File for what a learner's method trained beside it, such as embedding heads."""
        return self.path / "methods" / f"{file_stem(name)}.safetensors"

    def inner(self, *names: str) -> "RunFolder":
        """A folder inside, made where it is absent, for a part of the run that goes by the run's own settings."""
        folder = RunFolder(self.path.joinpath(*map(file_stem, names)))
        folder.config = self.config
        distributed.first(lambda: folder.path.mkdir(parents=True, exist_ok=True))
        return folder

    def refuse_used(self) -> None:
        """Raises ``CrcdError`` if the path is taken by a file or a folder with anything but a config.yaml in it."""
        if self.path.exists() and not self.path.is_dir():
            raise CrcdError(f"--out {self.path} is a file: name a folder")
        if self.path.is_dir() and any(entry.name not in (self.config.name, LOCK) for entry in self.path.iterdir()):
            raise CrcdError(
                f"run folder {self.path} exists and is not empty: continue it with --resume, or name another --out"
            )

    def create(self, config: Any) -> None:
        """Make the folder and write the settings into it."""
        self.refuse_used()
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.config, yaml.safe_dump(to_plain(config), sort_keys=False))

    def require_begun(self) -> None:
        """Raises ``CrcdError`` if no run began in this folder."""
        if not self.config.is_file():
            raise CrcdError(f"--resume {self.path}: there is no run here (no config.yaml); name the folder of a run")

    def read_config(self, default: C) -> C:
        """The settings that ``create`` wrote.

        Args:
            default: settings of the same class.

        Raises:
            CrcdError: no run began in this folder, or one of another command.
        """
        self.require_begun()
        plain = read_yaml(self.config)
        if foreign := plain.keys() - {f.name for f in fields(default)}:
            raise CrcdError(
                f"--resume {self.path}: its config.yaml has settings that this command does not know "
                f"({', '.join(sorted(map(str, foreign)))}): resume it with the command that began it"
            )
        return fill(default, plain, self.config)

    def write_metrics(self, history: Sequence[dict[str, Any]]) -> None:
        """Write all lines so far, one an epoch and learner."""
        write_text(self.metrics, "".join(f"{json.dumps(record)}\n" for record in history))

    def read_metrics(self) -> list[dict[str, Any]]:
        """What ``write_metrics`` wrote.

        Raises:
            CrcdError: it can't be read, or is damaged.
        """
        history = read_json_lines(self.metrics)
        if not all(_has(record, "learner", "epoch", "top1") for record in history):
            raise damaged(self.metrics, "a line is no record of a learner's epoch")
        return history

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write what the run came to."""
        write_text(self.summary, f"{json.dumps(summary, indent=2)}\n")

    def read_summary(self) -> dict[str, Any]:
        """What ``write_summary`` wrote.

        Raises:
            CrcdError: it can't be read, or is damaged.
        """
        summary: dict[str, Any] = read_json(self.summary)
        if not _has(summary, *WHOLE):
            raise damaged(self.summary, f"it does not have all of {', '.join(WHOLE)}")
        learners = summary["learners"]
        if not (isinstance(learners, dict) and all(_has(entry, "model", "top1") for entry in learners.values())):
            raise damaged(self.summary, "a learner has no model or no top1")
        return summary


def _has(record: object, *names: str) -> bool:
    return isinstance(record, dict) and record.keys() >= set(names)


@contextmanager
def run_folder(options: RunOptions, *names: str) -> Iterator[RunFolder]:
    """The folder of a run that begins or goes on, made and checked; inside, no other process may begin or go on in it.

    Folders that were made here go again if nothing came into them.

    Args:
        options: say where.
        names: for a run without ``out``: it lies in runs/NAMES-n with the first free n.

    Raises:
        CrcdError: ``out`` is taken, there is no run to go on with, or another process works in it.
    """
    with ExitStack() as claim:
        yield distributed.first(lambda: claim.enter_context(_claimed(options, names)))


@contextmanager
def _claimed(options: RunOptions, names: Sequence[str]) -> Iterator[RunFolder]:
    if options.resume is not None:
        folder = RunFolder(options.resume)
        folder.require_begun()
        with alone(folder.path):
            yield folder
        return
    place = options.out or RUNS / "any"
    absent = [path for path in (place, *place.parents) if not path.exists()]
    folder = RunFolder(options.out or _make_free(file_stem(plain_name("-".join(names)))))
    folder.refuse_used()
    folder.path.mkdir(parents=True, exist_ok=True)
    try:
        with alone(folder.path):
            yield folder
    finally:
        with suppress(OSError):  # one is not empty
            for made in (folder.path, *absent[1:]) if absent else ():
                made.rmdir()


def _make_free(stem: str) -> Path:
    """A new folder: the first of runs/STEM-1, runs/STEM-2, ... that was not there."""
    RUNS.mkdir(exist_ok=True)
    number = 1
    while True:
        try:
            (path := RUNS / f"{stem}-{number}").mkdir()
        except FileExistsError:
            number += 1
        else:
            return path
