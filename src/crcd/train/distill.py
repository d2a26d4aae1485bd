"""Distillation: several students side by side under one teacher."""

import math
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from torch import nn

from crcd import distributed
from crcd.data import Images, Loader, known_labels, subset
from crcd.errors import CrcdError
from crcd.evaluate.accuracy import near_chance
from crcd.evaluate.scorer import Scorer
from crcd.evaluate.students import score_students
from crcd.methods import needs_one_class, uses_maps, uses_preactivations
from crcd.models import ImageFormat, adapt_between, save_weights, weights_digest
from crcd.train.build import build_learners, check_network, metadata
from crcd.train.config import DistillConfig
from crcd.train.device import find_device
from crcd.train.first_stage import first_stages, train_first_stages
from crcd.train.loggers import check_installed
from crcd.train.loop import Loop
from crcd.train.material import Material
from crcd.train.options import ComputeOptions, require
from crcd.train.outcome import Outcome, describe_run, learner_entry, model_entry
from crcd.train.pseudo_labels import with_classes_by_turns, with_pseudo_labels
from crcd.train.reporter import Reporter
from crcd.train.run_folder import RunFolder, begin_folder
from crcd.train.scratch import train_classifier
from crcd.train.several import begin_together
from crcd.train.step import Guide, Step
from crcd.train.stop import StopSignal
from crcd.train.teacher import Teacher
from crcd.train.teacher_cache import CachedTeacher, TeacherCache
from crcd.train.teacher_network import TeacherNetwork, given_teacher, module_teacher

UNTRAINED: dict[str, Any] = {"epochs": None, "seconds": 0.0}
"""What a teacher that came with weights cost."""


def distill(
    config: DistillConfig,
    reporter: Reporter | None = None,
    *,
    teacher_model: nn.Module | None = None,
    teacher_format: ImageFormat | None = None,
    student_model: nn.Module | None = None,
) -> Outcome:
    """Train a student by each method under one teacher, which is trained first where no weights are given.

    Args:
        config: settings of the run.
        reporter: is told what happens.
        teacher_model: any trained classifier of the data's classes, in place of the teacher that the settings name,
            which is then but its name; it is left as it is. Give it again to go on with the run.
        teacher_format: images that it takes; None for those of the data.
        student_model: any classifier, likewise; every learner begins with a copy of it.

    Raises:
        CrcdError: a mistake in the settings or the data, or a loss that is not finite.
        RunStopped: a signal or the time budget stopped it; it can be resumed.
    """
    check_installed(config.log)
    folder = distributed.first(lambda: begin_folder(config, config.data, config.teacher, config.student))
    stop = StopSignal(config.budget, f"{distributed.program()} distill --resume {folder.path}")
    device = find_device(config.device)
    reporter = begin_together(config, device, reporter or Reporter())
    material = Material.load(config, config.seed, device)
    images = material.train
    if config.student_images is not None:
        images = subset(images, config.student_images, config.seed)
    count = len(known_labels(images))
    _check_labels(config, len(images) - count)
    rehearsed = with_classes_by_turns(images, material.data.num_classes) if config.pseudo_labels else images
    train = material.train_loader(rehearsed, config.teacher_views)
    kept, classes = folder.weights("teacher"), material.data.num_classes
    if teacher_model is None:
        network = given_teacher(config, material, kept)
    else:
        network = module_teacher(teacher_model, teacher_format, material, kept)
        check_network(network.model, config.teacher, network.format, classes, config.teacher_classifier)
    if student_model is not None:
        student_model = deepcopy(student_model)
        check_network(student_model, config.student, material.format, classes, config.student_classifier)
    adapt = adapt_between(material.format, network.format)
    reads = {
        "maps": any(map(uses_maps, config.methods)),
        "preactivations": any(map(uses_preactivations, config.methods)),
    }
    layer = config.teacher_classifier
    example = Teacher(network.model, device, ComputeOptions(), layer, adapt, **reads)
    _rehearse(config, material, rehearsed, train, example, student_model)
    given = teacher_model is not None or config.teacher_weights is not None or config.teacher_pretrained
    loader = material.score_loader()
    scorer = Scorer(lambda: loader.epoch(0), material.scored.labels, example.network) if given else None
    if scorer is not None:
        _judge_teacher(config, scorer, material, reporter)
    if config.resume is None:
        distributed.first(lambda: folder.create(config))
    model = _trained_teacher(network, config, material, folder, stop, reporter, given=given)
    teacher = Teacher(model, device, config, layer, adapt, **reads)
    if config.pseudo_labels:
        images = with_pseudo_labels(images, teacher.network, material, folder)
        train = material.train_loader(images, config.teacher_views)
    learners = build_learners(config, material, images, teacher, student_model)
    if scorer is None:
        scorer = Scorer(lambda: loader.epoch(0), material.scored.labels, teacher.network)
        _judge_teacher(config, scorer, material, reporter, trained_here=True)
    guide: Guide | None = teacher if any(learner.method is not None for learner in learners) else None
    cache: dict[str, Any] = {}
    if guide is not None and config.teacher_views is not None:
        adapted = None if adapt is None else network.format
        files = TeacherCache(config.teacher_cache or folder.path / "teacher-cache", config, model, train, adapted)
        cache = files.fill(teacher, stop, reporter)
        guide = CachedTeacher(files, teacher)
    first = train_first_stages(config, learners, guide, train, scorer, folder, stop, reporter)
    guide = guide if any(learner.guided for learner in learners) else None
    title = " ".join(config.methods)
    loop = Loop(
        title, config, learners, guide, train, scorer, folder, stop, reporter, config.distill_until, config.keep_going
    )
    loop.run()
    learners = loop.learners
    for learner in learners:
        about = metadata(config.student, material)
        save_weights(learner.result.model.state_dict(), folder.weights(learner.name), about)
        if learner.method is not None and (trained := dict(learner.method.named_parameters())):
            folder.inner("methods")
            save_weights(trained, folder.method_weights(learner.name), {})
    viewers = [learner.result for learner in learners]
    teacher_scores, scores = score_students(teacher.viewer, viewers, loader.epoch(0), material.scored.labels)
    teacher_entry = model_entry(config.teacher, model, network.format)
    for learner in learners:
        if weights_digest(learner.result.model.state_dict()) == weights_digest(model.state_dict()):
            reporter.note(
                f"{learner.name} is its teacher to the bit: network, images and seed are the same; to have another, "
                "give --teacher-seed another number"
            )
    teacher_entry |= {"top1": scorer.teacher_top1, **teacher_scores, "weights": weights_digest(model.state_dict())}
    if cache:
        teacher_entry["cache"] = cache
    training = distributed.first(lambda: _teacher_training(folder))
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
        "failed": loop.failed,
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


def _rehearse(
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


def _trained_teacher(
    network: TeacherNetwork,
    config: DistillConfig,
    material: Material,
    folder: RunFolder,
    stop: StopSignal,
    reporter: Reporter,
    *,
    given: bool,
) -> nn.Module:
    """The teacher, trained in a run folder of its own unless it came with weights; kept as teacher.safetensors."""
    model = network.model
    if distributed.first(folder.weights("teacher").is_file):
        return model
    if not given:
        own = RunFolder(folder.path / "teacher")
        own_config = config.for_teacher(own.path)
        if not distributed.first(own.checkpoint.is_file):
            distributed.first(lambda: own.create(own_config))
        model = train_classifier(own_config, replace(material, seed=own_config.seed), own, stop, reporter)
    save_weights(model.state_dict(), folder.weights("teacher"), metadata(config.teacher, material, network.format))
    return model


def _judge_teacher(
    config: DistillConfig, scorer: Scorer, material: Material, reporter: Reporter, *, trained_here: bool = False
) -> None:
    """Show the teacher's accuracy; refuse broken weights and, unless forced or trained here, one near chance."""
    top1 = scorer.teacher_top1
    assert top1 is not None
    if math.isnan(top1):
        raise CrcdError(f"the teacher {config.teacher} gives logits that are not finite: its weights are broken")
    least = near_chance(material.scored.labels)
    where = f"{len(material.scored)} {material.scored_on} images"
    reporter.note(f"teacher {config.teacher}: top-1 {top1:.2f} % on {where}")
    if top1 < least and not (trained_here or config.weak_teacher):
        raise CrcdError(
            f"the teacher {config.teacher} has a top-1 of {top1:.2f} % on {where}, near chance (below {least:.2f} %): "
            "are its weights for these classes in this order, and its images as it takes them (--teacher-images)? "
            "--weak-teacher goes on all the same"
        )


def _teacher_training(folder: RunFolder) -> dict[str, Any]:
    """Summary of the teacher's training; empty where it came with weights."""
    own = RunFolder(folder.path / "teacher")
    return own.read_summary() if own.summary.is_file() else {}
