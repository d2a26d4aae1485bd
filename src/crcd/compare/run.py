"""Measures the cells of a comparison that its ledger does not have yet."""

import hashlib
import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from crcd import distributed
from crcd.compare.cell import Cell, Setup
from crcd.compare.ledger import Entry, Ledger
from crcd.config_file import WITHOUT_EFFECT, fingerprint, to_plain
from crcd.data import TOLD_BY_NAME
from crcd.errors import CrcdError
from crcd.files import file_stem, plain_name
from crcd.lock import alone
from crcd.models import weights_digest
from crcd.train.config import DistillConfig
from crcd.train.device import find_device
from crcd.train.distill import distill
from crcd.train.material import Material, load_data
from crcd.train.reporter import Reporter
from crcd.train.run_folder import RunFolder
from crcd.train.scratch import train
from crcd.train.stop import RunStopped
from crcd.train.teacher_network import given_teacher

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A cell that could not be measured, and why."""

    setup: str
    method: str
    seed: int
    reason: str


class TeacherFile(NamedTuple):
    """Weights of a teacher (None: its library's), and what the ledger says of how they were made."""

    weights: Path | None
    entry: dict[str, Any]


class Comparison:
    """Cells of some setups over some seeds: every method of a seed learns on the same batches from the same teacher.

    The methods of one setup and seed that the ledger lacks are trained side by side in one run; a learner's numbers
    do not depend on those beside it, so methods that are added later are paired with those of before. A run that was
    interrupted is gone on with. A method that fails is left out and the others go on without it; of several processes
    one that fails ends all, unless it is the loss of a method that is not finite.

    Args:
        setups: the columns.
        seeds: of the students; the teacher is one for all, trained with seed 0 unless the settings say otherwise.
        ledger: what is measured already; finished cells are added.
        folder: where the runs lie.
        budget: seconds; None for no limit.
    """

    def __init__(
        self, setups: Sequence[Setup], seeds: Sequence[int], ledger: Ledger, folder: Path, budget: float | None = None
    ) -> None:
        self.setups = [replace(setup, config=_with_teacher_seed(setup.config)) for setup in setups]
        self.seeds = seeds
        self.ledger = ledger
        self.folder = folder
        self.deadline = None if budget is None else time.monotonic() + budget
        self.failures: list[Failure] = []
        self._given: dict[Setup, str] = {}
        self._images: dict[tuple[Any, ...], str] = {}

    def cells(self) -> list[tuple[Cell, Setup, str]]:
        """Every cell, with its setup and the name of its method; setups may share cells."""
        return [
            (self._cell(setup, method, seed), setup, method)
            for seed in self.seeds
            for setup in self.setups
            for method in setup.methods
        ]

    def entries(self) -> list[Entry]:
        """What the ledger has of the cells, told in the words of this comparison."""
        measured = self.ledger.measured()
        return [
            replace(measured[cell], setup=setup.label, method=method)
            for cell, setup, method in self.cells()
            if cell in measured
        ]

    def run(self, reporter: Reporter) -> None:
        """Measure what is missing, seed by seed.

        Raises:
            RunStopped: a signal or the time budget stopped it; calling it again goes on.
            CrcdError: another process works in the folder, or the ledger can't be written.
        """
        distributed.first(lambda: self.folder.mkdir(parents=True, exist_ok=True))
        with ExitStack() as lock:
            distributed.first(lambda: lock.enter_context(alone(self.folder)))
            distributed.first(self.ledger.check_writable)
            for done, (seed, setup) in enumerate(product(self.seeds, self.setups), 1):
                cells = {method: self._cell(setup, method, seed) for method in setup.methods}
                missing = distributed.first(partial(self._missing, cells))
                if missing:
                    of = len(self.seeds) * len(self.setups)
                    reporter.note(f"{done} of {of}: {setup.label}, seed {seed}: {' '.join(missing)}")
                    for entries in self._measure(setup, replace(setup.config, seed=seed, methods=missing), reporter):
                        distributed.first(partial(self.ledger.append, entries))
            self.ledger.read()

    def _missing(self, cells: dict[str, Cell]) -> tuple[str, ...]:
        """Methods whose cells the ledger, which another comparison may add to, lacks."""
        self.ledger.read()
        measured = self.ledger.measured()
        return tuple(method for method, cell in cells.items() if cell not in measured)

    def _cell(self, setup: Setup, method: str, seed: int) -> Cell:
        config = replace(setup.config, seed=seed)
        return Cell.of(config, method, self._digest(setup), self._images_digest(setup.config))

    def _measure(self, setup: Setup, config: DistillConfig, reporter: Reporter) -> Iterator[list[Entry]]:
        """Entries of one setup and seed, run by run."""
        try:
            teacher = self._teacher(config, reporter)
        except RunStopped:
            raise
        except Exception as error:
            if distributed.size() > 1:
                raise
            self._fail(setup, config.seed, config.methods, error)
        else:
            yield from self._isolate(setup, config, teacher, reporter)

    def _isolate(
        self, setup: Setup, config: DistillConfig, teacher: TeacherFile, reporter: Reporter
    ) -> Iterator[list[Entry]]:
        """Train the methods side by side; where they cannot so, each by itself."""
        try:
            folder = self._run(setup, config, teacher, reporter)
        except RunStopped:
            raise
        except Exception as error:
            if distributed.size() > 1:  # the others need not have met it
                raise
            if len(config.methods) == 1:
                self._fail(setup, config.seed, config.methods, error)
                return
            for name in config.methods:
                yield from self._isolate(setup, replace(config, methods=(name,)), teacher, reporter)
        else:
            for name, reason in distributed.first(folder.read_summary)["failed"].items():
                self._fail(setup, config.seed, [name], CrcdError(reason))
            made = partial(_entries, setup, config, folder, teacher.entry, self._images_digest(config))
            yield distributed.first(made)
            distributed.first(partial(_drop_checkpoints, folder.path))

    def _fail(self, setup: Setup, seed: int, methods: Sequence[str], error: Exception) -> None:
        if not isinstance(error, CrcdError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "errors.txt").open("a", encoding="utf-8") as file:
                file.write("".join(traceback.format_exception(error)))
        reason = " ".join(str(error).split()) or type(error).__name__
        self.failures += [Failure(setup.label, name, seed, reason) for name in methods]
        log.warning("%s, seed %d, %s failed: %s", setup.label, seed, " ".join(methods), reason)

    def _run(self, setup: Setup, config: DistillConfig, teacher: TeacherFile, reporter: Reporter) -> RunFolder:
        """Train the methods side by side."""
        own = replace(config, teacher_weights=teacher.weights, teacher_epochs=None, teacher_lr=None, teacher_seed=None)
        own = replace(own, keep_going=True)
        if teacher.weights is not None and config.teacher_weights is None:
            own = replace(own, weak_teacher=True)  # its accuracy was shown in its own training
        what = _short(fingerprint(own), self._digest(setup), self._images_digest(config))
        folder = RunFolder(self.folder / f"{setup.slug}-seed{config.seed}-{what}")
        resume = folder.path if distributed.first(folder.config.is_file) else None
        distill(replace(own, out=folder.path, resume=resume, time_budget=self._time_left()), reporter)
        return folder

    def _teacher(self, config: DistillConfig, reporter: Reporter) -> TeacherFile:
        """The teacher, trained if need be."""
        if config.teacher_weights is not None:
            return TeacherFile(config.teacher_weights, {"given": True})
        if config.teacher_pretrained:
            return TeacherFile(None, {"given": False})
        plan = config.for_teacher(None)
        what = _short(fingerprint(plan), self._images_digest(config))
        folder = RunFolder(self.folder / "teachers" / file_stem(plain_name(f"{config.teacher}-{what}")))
        if not distributed.first(folder.summary.is_file):
            resume = folder.path if distributed.first(folder.config.is_file) else None
            train(replace(plan, out=folder.path, resume=resume, time_budget=self._time_left()), reporter)
            distributed.first(lambda: folder.checkpoint.unlink(missing_ok=True))
        summary = distributed.first(folder.read_summary)
        cost = {"epochs": summary["epochs"], "seconds": summary["step_seconds"]}
        return TeacherFile(folder.weights("ce"), {"given": False, **cost})

    def _time_left(self) -> str | None:
        if self.deadline is None:
            return None
        deadline = self.deadline
        left = distributed.first(lambda: deadline - time.monotonic())
        if left <= 0:
            raise RunStopped("time budget used up between two runs", 0)
        return f"{max(left, 0.001):.3f}s"

    def _digest(self, setup: Setup) -> str | None:
        """Digest of the teacher's weights where the settings name a file."""
        config = setup.config
        if config.teacher_weights is None and not config.teacher_pretrained:
            return None
        if setup not in self._given:
            material = Material.load(config, config.seed, find_device("cpu"))
            model = given_teacher(config, material).model
            self._given[setup] = weights_digest(model.state_dict())
        return self._given[setup]

    def _images_digest(self, config: DistillConfig) -> str | None:
        """Digest of all images and their classes; None for a data set that its name stands for."""
        if config.data in TOLD_BY_NAME:
            return None
        asked = (config.data, config.data_dir, config.image_size, config.skip_corrupt)
        if asked not in self._images:
            self._images[asked] = distributed.first(partial(_hash_of_images, config))
        return self._images[asked]


def _hash_of_images(config: DistillConfig) -> str:
    data = load_data(config)
    parts = [f"{images.content_digest()} {images.labels.tolist()}" for images in (data.train, data.test)]
    return _short(*parts, *data.class_names)


def _short(*what: object) -> str:
    return hashlib.sha256(" ".join(map(str, what)).encode(errors="backslashreplace")).hexdigest()[:8]


def _drop_checkpoints(folder: Path) -> None:
    for checkpoint in folder.rglob("checkpoint.pt"):
        checkpoint.unlink()


def _with_teacher_seed(config: DistillConfig) -> DistillConfig:
    if config.teacher_weights is not None or config.teacher_pretrained or config.teacher_seed is not None:
        return config
    return replace(config, teacher_seed=0)


def _entries(
    setup: Setup, config: DistillConfig, folder: RunFolder, teacher: dict[str, Any], images: str | None
) -> list[Entry]:
    """Ledger entries of all learners of a finished run."""
    summary = folder.read_summary()
    top1: dict[str, list[float]] = {}
    for record in folder.read_metrics():
        top1.setdefault(record["learner"], []).append(record["top1"])
    learners = summary.pop("learners")
    teacher = summary.pop("teacher") | teacher
    for name in ("seed", "epochs", "failed"):
        del summary[name]
    run = {**summary, "side_by_side": list(learners), "images": images}
    entries = []
    for name, result in learners.items():
        settings = {
            k: v for k, v in to_plain(config).items() if k not in {*WITHOUT_EFFECT, "methods", "teacher_weights"}
        }
        mine = config.method_settings(name)
        settings = {k: v for k, v in settings.items() if not isinstance(v, dict)}
        settings |= {part: to_plain(own) for part, own in mine.items()}
        entries.append(
            Entry(
                recipe=setup.recipe,
                setup=setup.label,
                method=name,
                seed=config.seed,
                result=result,
                top1_by_epoch=top1[name],
                teacher=teacher,
                run=run,
                settings=settings,
            )
        )
    return entries
