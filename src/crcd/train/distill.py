"""Distillation: several students side by side under one teacher."""

import math
from dataclasses import replace
from tempfile import TemporaryFile
from typing import Any

from torch import nn

from crcd.data import Images, Loader, known_labels, subset
from crcd.errors import CrcdError
from crcd.evaluate.scorer import Scorer
from crcd.evaluate.students import score_students
from crcd.methods import needs_one_class, uses_maps, uses_preactivations
from crcd.models import save_weights, weights_digest
from crcd.train.build import build_learners, build_model, load_model, metadata
from crcd.train.config import DistillConfig
from crcd.train.device import find_device
from crcd.train.first_stage import first_stages, train_first_stages
from crcd.train.loop import Loop
from crcd.train.material import Material
from crcd.train.options import ComputeOptions, require
from crcd.train.outcome import Outcome, describe_run, learner_entry, model_entry
from crcd.train.pseudo_labels import with_classes_by_turns, with_pseudo_labels
from crcd.train.reporter import Reporter
from crcd.train.run_folder import RunFolder, begin_folder
from crcd.train.scratch import train_classifier
from crcd.train.step import Guide, Step
from crcd.train.stop import StopSignal
from crcd.train.teacher import Teacher
from crcd.train.teacher_cache import CachedTeacher, TeacherCache

UNTRAINED: dict[str, Any] = {"epochs": None, "seconds": 0.0}
"""What a teacher that came with weights cost."""


def distill(config: DistillConfig, reporter: Reporter | None = None) -> Outcome:
    """Train a student by each method under one teacher, which is trained first where no weights are given.

    Raises:
        CrcdError: a mistake in the settings or the data, or a loss that is not finite.
        RunStopped: a signal or the time budget stopped it; it can be resumed.
    """
    reporter = reporter or Reporter()
    folder = begin_folder(config, config.data, config.teacher, config.student)
    stop = StopSignal(config.budget, f"crcd distill --resume {folder.path}")
    device = find_device(config.device)
    material = Material.load(config, config.seed, device)
    images = material.train
    if config.student_images is not None:
        images = subset(images, config.student_images, config.seed)
    count = len(known_labels(images))
    _check_labels(config, len(images) - count)
    rehearsed = with_classes_by_turns(images, material.data.num_classes) if config.pseudo_labels else images
    train = material.train_loader(rehearsed, config.teacher_views)
    model = _initial_teacher(config, material, folder)
    reads = {
        "maps": any(map(uses_maps, config.methods)),
        "preactivations": any(map(uses_preactivations, config.methods)),
    }
    _rehearse(config, material, rehearsed, train, Teacher(model, device, ComputeOptions(), **reads))
    if config.resume is None:
        folder.create(config)
    model = _trained_teacher(model, config, material, folder, stop, reporter)
    teacher = Teacher(model, device, config, **reads)
    if config.pseudo_labels:
        images = with_pseudo_labels(images, teacher.viewer.model, material, folder)
        train = material.train_loader(images, config.teacher_views)
    learners = build_learners(config, material, images, teacher)
    loader = material.score_loader()
    scorer = Scorer(lambda: loader.epoch(0), material.scored.labels, teacher.viewer.model)
    if math.isnan(scorer.teacher_top1 or 0):
        raise CrcdError(f"the teacher {config.teacher} gives logits that are not finite: its weights are broken")
    guide: Guide | None = teacher if any(learner.method is not None for learner in learners) else None
    cache: dict[str, Any] = {}
    if guide is not None and config.teacher_views is not None:
        files = TeacherCache(config.teacher_cache or folder.path / "teacher-cache", config, model, train)
        cache = files.fill(teacher, stop, reporter)
        guide = CachedTeacher(files, teacher)
    first = train_first_stages(config, learners, guide, train, scorer, folder, stop, reporter)
    guide = guide if any(learner.guided for learner in learners) else None
    title = " ".join(config.methods)
    loop = Loop(title, config, learners, guide, train, scorer, folder, stop, reporter, config.distill_until)
    loop.run()
    for learner in learners:
        save_weights(learner.result.model, folder.weights(learner.name), metadata(config.student, material))
    viewers = [learner.result for learner in learners]
    teacher_scores, scores = score_students(teacher.viewer, viewers, loader.epoch(0), material.scored.labels)
    teacher_entry = {**model_entry(config.teacher, model, material), "top1": scorer.teacher_top1, **teacher_scores}
    teacher_entry["weights"] = weights_digest(model.state_dict())
    if cache:
        teacher_entry["cache"] = cache
    training = _teacher_training(folder)
    teacher_entry |= {"epochs": training["epochs"], "seconds": training["step_seconds"]} if training else UNTRAINED
    others = (training, cache, *first.values())
    summary = {
        **describe_run(config, material),
        "student_images": count,
        "teacher": teacher_entry,
        "learners": {
            learner.name: {
                **learner_entry(config.student, learner.result.model, learner.name, loop.history, material),
                **score,
                **({"first_stage": first[learner.name]} if learner.name in first else {}),
            }
            for learner, score in zip(learners, scores, strict=True)
        },
        "step_seconds": loop.step_seconds,
        "seconds": round(loop.seconds + sum(part["seconds"] for part in others if part), 3),
    }
    folder.write_summary(summary)
    return Outcome(folder.path, summary)


def _check_labels(config: DistillConfig, unlabelled: int) -> None:
    """Raises ``CrcdError`` where methods need labels that are not there, or the teacher's for none."""
    if config.pseudo_labels:
        require(unlabelled > 0, "pseudo-labels", True, "every training image has a label, leave it out")
    elif unlabelled > 0 and (learner := next(filter(needs_one_class, config.methods), "")):
        raise CrcdError(
            f"method '{learner}' needs the class of each image, and {unlabelled} training images are unlabelled: give "
            "--pseudo-labels, or leave it out"
        )


def _rehearse(config: DistillConfig, material: Material, images: Images, train: Loader, teacher: Teacher) -> None:
    """Take one step of each stage with learners that are thrown away: mistakes show here, before a long training."""
    if config.teacher_cache is not None:
        try:
            config.teacher_cache.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=config.teacher_cache).close()
        except OSError as error:
            advice = "name a folder that can be written"
            raise CrcdError(f"--teacher-cache is {config.teacher_cache} ({error.strerror}): {advice}") from error
    learners = build_learners(replace(config, compile=False), material, images, teacher)
    inputs = next(train.inputs(0))
    for stage in (stage for learner in learners for stage in first_stages(learner, config).values()):
        Step(train, teacher, [stage])(inputs, stage.config.lr, weight=1.0)
    Step(train, teacher, learners)(inputs, config.lr, weight=1.0)


def _initial_teacher(config: DistillConfig, material: Material, folder: RunFolder) -> nn.Module:
    """The teacher with its weights, or untrained where it has none yet."""
    kept = folder.weights("teacher")
    weights = kept if kept.is_file() else config.teacher_weights
    return build_model(config.teacher, material) if weights is None else load_model(config.teacher, weights, material)


def _trained_teacher(
    model: nn.Module,
    config: DistillConfig,
    material: Material,
    folder: RunFolder,
    stop: StopSignal,
    reporter: Reporter,
) -> nn.Module:
    """The teacher, trained in a run folder of its own unless it came with weights; kept as teacher.safetensors."""
    if folder.weights("teacher").is_file():
        return model
    if config.teacher_weights is None:
        own = RunFolder(folder.path / "teacher")
        own_config = config.for_teacher(own.path)
        if not own.checkpoint.is_file():
            own.create(own_config)
        model = train_classifier(own_config, replace(material, seed=own_config.seed), own, stop, reporter)
    save_weights(model, folder.weights("teacher"), metadata(config.teacher, material))
    return model


def _teacher_training(folder: RunFolder) -> dict[str, Any]:
    """Summary of the teacher's training; empty where it came with weights."""
    own = RunFolder(folder.path / "teacher")
    return own.read_summary() if own.summary.is_file() else {}
