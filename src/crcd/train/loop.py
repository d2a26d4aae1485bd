"""The training loop: many learners, one teacher, the same batches."""

import hashlib
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch

from crcd import distributed
from crcd.config_file import fingerprint
from crcd.data.loader import Loader
from crcd.errors import CrcdError
from crcd.evaluate.scorer import Scorer
from crcd.train.captured import CapturedStep
from crcd.train.checkpoint import load_checkpoint, save_checkpoint
from crcd.train.config import TrainOptions
from crcd.train.learner import Learner, LearnerError
from crcd.train.loggers import Loggers, curves
from crcd.train.reporter import Reporter
from crcd.train.run_folder import RunFolder
from crcd.train.schedule import distillation_weight, learning_rate
from crcd.train.step import Guide, Step
from crcd.train.stop import Due, StopSignal
from crcd.train.stopwatch import Stopwatch


class Loop:
    """Trains all learners on the same batches and augmentations with one teacher forward a batch.

    It goes on from the folder's checkpoint where there is one, exactly where that was taken.

    Args:
        title: what is trained, for the reporter.
        config: settings of the whole run.
        learners: the students.
        guide: the teacher's view of a batch; None where no learner has a method.
        train: training batches; those of an epoch depend on seed and epoch alone.
        scorer: scores the students after each epoch.
        folder: where checkpoint and metrics are written.
        stop: asks the loop to stop early.
        reporter: is told what happens.
        distill_until: last epoch with distillation terms, or the share of the epochs with them; None for all.
        keep_going: leave out a learner whose loss is not finite and go on with the others, while there are any.
        failed: why learners were left out in a first stage, by their names.

    Attributes:
        learners: those that are still trained.
        failed: why the others are not, by their names.
    """

    def __init__(
        self,
        title: str,
        config: TrainOptions,
        learners: Sequence[Learner],
        guide: Guide | None,
        train: Loader,
        scorer: Scorer,
        folder: RunFolder,
        stop: StopSignal,
        reporter: Reporter,
        distill_until: float | None = None,
        keep_going: bool = False,
        failed: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.title = title
        self.config = config
        self.learners = [learner for learner in learners if learner.name not in failed]
        self.failed = dict(failed)
        self.keep_going = keep_going
        self.guide = guide
        self.train = train
        self.scorer = scorer
        self.folder = folder
        self.stop = stop
        self.reporter = reporter
        self.distill_until = distill_until
        self.epoch = 0
        self.step = 0
        labels_N = train.images.labels
        self._images = {"count": len(labels_N), "labels": hashlib.sha256(labels_N.cpu().numpy().tobytes()).hexdigest()}
        self.history: list[dict[str, Any]] = []
        self._watch = Stopwatch(train.device)
        self._identity = uuid.uuid4().hex[:12]
        self._seconds_before = 0.0
        self._began = self._saved = time.monotonic()
        if distributed.first(folder.checkpoint.exists):
            self._load()
        else:
            self._save()
        self._loggers = Loggers(config.log, folder.path, config, self._identity)
        self._take_step = self._new_step()

    def run(self) -> None:
        """Train to the last epoch.

        Raises:
            RunStopped: a signal or the time budget ended it before; the state is saved.
            CrcdError: a loss is not finite, or a file could not be written; the last good checkpoint is kept.
        """
        steps = len(self.train)
        self.reporter.begin(self.title, self.learners, self.config.epochs, steps, self.epoch * steps + self.step)
        try:
            with self.stop:
                while self.epoch < self.config.epochs:
                    try:
                        self._train_epoch()
                        self._end_epoch()
                    except LearnerError as error:
                        self._leave_out(error)
        except distributed.ProcessLostError as error:
            raise CrcdError(f"{error} {self._where}; continue with: {self.stop.advice}") from error
        finally:
            self.reporter.end()
            self._loggers.close()

    def _new_step(self) -> Step:
        whole = distributed.size() == self.config.batch_parts == 1
        captured = self.config.capture and self.train.device.type == "cuda" and whole
        return (CapturedStep if captured else Step)(self.train, self.guide, self.learners)

    def _leave_out(self, error: LearnerError) -> None:
        """Go on from here without a learner: the state of the others does not depend on it."""
        if not self.keep_going or len(self.learners) == 1:
            raise error
        self.failed[error.learner] = str(error)
        self.learners = [learner for learner in self.learners if learner.name != error.learner]
        self._take_step = self._new_step()
        self.reporter.note(f"{error}; going on without it")

    def _train_epoch(self) -> None:
        weight = distillation_weight(self.distill_until, self.config.epochs, self.epoch)
        for inputs in self.train.inputs(self.epoch, self.step):
            rate = learning_rate(self.config, self.epoch, self.step, len(self.train))
            with self._watch.running():
                self._take_step(inputs, rate, weight)
            self.step += 1
            self._between_steps(len(inputs.index_B))

    def _between_steps(self, images: int) -> None:
        if self.train.device.type == "cpu":
            for learner in self.learners:
                self._refuse(learner, learner.totals.not_finite())
        self.reporter.step(images)
        due = self.stop.due(time.monotonic() - self._saved > self.config.checkpoint_seconds)
        if due is not None:
            self._check_finite()
            self._save()
        if due is Due.STOP:
            raise self.stop.stopped(self._where)

    @property
    def _where(self) -> str:
        return f"in epoch {self.epoch + 1} after step {self.step} of training {self.title}"

    def _end_epoch(self) -> None:
        self._check_finite()
        scores = self.scorer([learner.result.model for learner in self.learners])
        records = [self._record(learner, score) for learner, score in zip(self.learners, scores, strict=True)]
        for learner, score in zip(self.learners, scores, strict=True):
            self._refuse(learner, ["logits"] if math.isnan(score["top1"]) else [])
        self.history += records
        self.epoch, self.step = self.epoch + 1, 0
        for learner in self.learners:
            learner.begin_epoch()
        self._watch.seconds = 0.0
        self._save()
        self.folder.write_metrics(self.history)
        self.reporter.epoch(records)
        self._loggers.scalars(self.epoch, curves(records))

    def _record(self, learner: Learner, score: dict[str, float]) -> dict[str, Any]:
        seconds, step_seconds = learner.watch.seconds, self._watch.seconds
        assert step_seconds is not None
        return {
            "epoch": self.epoch + 1,
            "learner": learner.name,
            **learner.totals.means(),
            **score,
            "lr": learning_rate(self.config, self.epoch, len(self.train) - 1, len(self.train)),
            "seconds": None if seconds is None else round(seconds, 3),
            "step_seconds": round(step_seconds, 3),
            "images_per_second": round(len(self.train) * self.config.batch_size / step_seconds, 1),
        }

    def _check_finite(self) -> None:
        for learner in self.learners:
            self._refuse(learner, learner.not_finite())

    def _refuse(self, learner: Learner, parts: list[str]) -> None:
        if parts:
            raise LearnerError(
                learner.name,
                f"{' and '.join(parts)} of learner '{learner.name}' not finite in epoch {self.epoch + 1} by step "
                f"{self.step}: {learner.advice}; the last good state is {self.folder.checkpoint}",
            )

    @property
    def seconds(self) -> float:
        """Seconds since the run began, without pauses between its sittings."""
        return self._seconds_before + time.monotonic() - self._began

    @property
    def step_seconds(self) -> float:
        """Seconds of the training steps of all whole epochs, teacher and all learners together."""
        times: list[float] = [r["step_seconds"] for r in self.history if r["learner"] == self.learners[0].name]
        return round(sum(times), 3)

    def _save(self) -> None:
        state = {
            "fingerprint": fingerprint(self.config),
            "images": self._images,
            "identity": self._identity,
            "epoch": self.epoch,
            "step": self.step,
            "history": self.history,
            "seconds": self.seconds,
            "step_seconds": self._watch.seconds,
            "learners": {learner.name: learner.state_dict() for learner in self.learners},
            "failed": self.failed,
        }
        save_checkpoint(self.folder.checkpoint, state)
        self._saved = time.monotonic()

    def _load(self) -> None:
        state = load_checkpoint(self.folder.checkpoint, fingerprint(self.config), self.folder.config)
        if state["images"] != self._images:
            raise CrcdError(
                f"{self.folder.checkpoint} was made with other training images ({state['images']['count']} of them, "
                f"now {self._images['count']}, or in other classes): undo the change of the data, or begin anew"
            )
        self.epoch, self.step, self.history = state["epoch"], state["step"], state["history"]
        self._identity, self._seconds_before = state["identity"], state["seconds"]
        self._watch.seconds = state["step_seconds"]
        self.failed = state["failed"]
        self.learners = [learner for learner in self.learners if learner.name not in self.failed]
        for learner in self.learners:
            try:
                learner.load_state_dict(state["learners"][learner.name])
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                raise CrcdError(
                    f"{self.folder.checkpoint}: its state of learner '{learner.name}' is of another version of crcd: "
                    "go on with that version, or begin anew"
                ) from error
        self.folder.write_metrics(self.history)
