"""The first stage of methods that have one, before the ordinary training."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from crcd.data import Batch, Loader
from crcd.evaluate.scorer import Scorer
from crcd.methods.two_stage import TwoStage
from crcd.models import Viewer
from crcd.relation.view import View
from crcd.train.config import DistillConfig
from crcd.train.learner import Learner, LearnerError
from crcd.train.loop import Loop
from crcd.train.reporter import Reporter
from crcd.train.run_folder import RunFolder
from crcd.train.step import Guide
from crcd.train.stop import StopSignal


class FirstStage(Learner):
    """A learner as its method's first stage trains it: the same student, method and random numbers, a new optimiser.

    Its network is not compiled: a compiled one gives parameters that the loss does not depend on gradients of zero in
    place of none, so weight decay would shrink them.

    Args:
        learner: whose first stage it is.
        method: the learner's method, or the one of several that this stage belongs to.
        config: settings of the run.
    """

    def __init__(self, learner: Learner, method: TwoStage, config: DistillConfig) -> None:
        self.config = replace(
            config,
            epochs=method.first_stage_epochs,
            lr=method.first_stage_lr or config.lr,
            schedule="step",
            milestones=(),
            warmup_epochs=0.0,
            distill_until=None,
            compile=False,
            ema=None,
        )
        self.stage = method
        self.advice = f"try a lower --{type(method).__name__.lower()}.first-stage-lr"
        maps, before = learner.viewer.maps, method.uses_preactivations
        viewer = Viewer(learner.viewer.model, maps, learner.viewer.classifier, preactivations=before)
        options = self.config
        super().__init__(learner.name, viewer, method, options, learner.stream, learner.device, options)

    def _loss(self, batch: Batch, teacher: Callable[[], View] | None) -> tuple[Tensor, dict[str, Tensor]]:
        assert teacher is not None
        terms = self.stage.first_stage(lambda: self._view(batch), teacher(), batch)
        return terms["loss"], terms | {"loss": terms["loss"].detach()}


def first_stages(learner: Learner, config: DistillConfig) -> dict[str, FirstStage]:
    """First stages of a learner's method in their order, by the method's name where it is one of several, else ``""``.

    Args:
        learner: not trained yet.
        config: settings of the run.
    """
    methods = {} if learner.method is None else dict(learner.method.named_modules())
    return {
        name.rpartition(".")[2]: FirstStage(learner, method, config)
        for name, method in methods.items()
        if isinstance(method, TwoStage)
    }


def train_first_stages(
    config: DistillConfig,
    learners: Sequence[Learner],
    guide: Guide | None,
    train: Loader,
    scorer: Scorer,
    folder: RunFolder,
    stop: StopSignal,
    reporter: Reporter,
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Train all learners' first stages, one after the other, each in the run's folder first-stage/LEARNER/.

    Stages of finished or interrupted sittings go on from their checkpoints. With ``keep_going`` a learner whose loss is
    not finite is left out, while there are others.

    Args:
        config: settings of the run.
        learners: with or without a first stage.
        guide: the teacher's view of a batch; None where no learner has a method.
        train: training batches.
        scorer: scores the students after each epoch.
        folder: of the run.
        stop: asks to stop early.
        reporter: is told what happens.

    Returns:
        What the first stages cost, by the learner's name; and why learners failed, by theirs.
    """
    costs: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    for learner in learners:
        for part, stage in first_stages(learner, config).items():
            title = f"the first stage of {learner.name}{part and f' ({part})'}"
            own = folder.inner("first-stage", learner.name, part)
            loop = Loop(title, stage.config, [stage], guide, train, scorer, own, stop, reporter)
            try:
                loop.run()
            except LearnerError as error:
                if not config.keep_going or len(failed) + 1 == len(learners):
                    raise
                failed[learner.name] = str(error)
                reporter.note(f"{error}; going on without it")
            before = costs.get(learner.name, {"epochs": 0, "step_seconds": 0.0, "seconds": 0.0})
            costs[learner.name] = {
                "epochs": before["epochs"] + loop.epoch,
                "step_seconds": round(before["step_seconds"] + loop.step_seconds, 3),
                "seconds": round(before["seconds"] + loop.seconds, 3),
            }
            if learner.name in failed:
                break
            learner.begin_average()
    return costs, failed
