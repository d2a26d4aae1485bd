"""What shows mistakes before a long training begins."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

from torch import nn

from crcd import distributed
from crcd.data import Images, Loader
from crcd.errors import CrcdError
from crcd.methods import needs_one_class
from crcd.train.build import build_learners
from crcd.train.config import DistillConfig
from crcd.train.first_stage import first_stages
from crcd.train.material import Material
from crcd.train.options import require
from crcd.train.step import Step
from crcd.train.teacher import Teacher


def check_labels(config: DistillConfig, unlabelled: int) -> None:
    """Raises ``CrcdError`` where methods need labels that are not there, or the teacher's for none."""
    if config.pseudo_labels:
        require(unlabelled > 0, "pseudo-labels", True, "every training image has a label, leave it out")
    elif unlabelled > 0 and (learner := next(filter(needs_one_class, config.methods), "")):
        raise CrcdError(
            f"method '{learner}' needs the class of each image, and {unlabelled} training images are unlabelled: give "
            "--pseudo-labels, or leave it out"
        )


def rehearse(
    config: DistillConfig,
    material: Material,
    images: Images,
    train: Loader,
    teacher: Teacher,
    student: nn.Module | None,
) -> None:
    """Take one step of each stage with learners that are thrown away: mistakes show here, before a long training."""
    if config.teacher_cache is not None:
        distributed.first(partial(_check_writable, config.teacher_cache))
    learners = build_learners(replace(config, compile=False), material, images, teacher, student)
    inputs = next(train.inputs(0))
    for stage in (stage for learner in learners for stage in first_stages(learner, config).values()):
        Step(train, teacher, [stage])(inputs, stage.config.lr, weight=1.0)
    Step(train, teacher, learners)(inputs, config.lr, weight=1.0)


def _check_writable(teacher_cache: Path) -> None:
    try:
        teacher_cache.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=teacher_cache).close()
    except OSError as error:
        advice = "name a folder that can be written"
        raise CrcdError(f"--teacher-cache is {teacher_cache} ({error.strerror}): {advice}") from error
