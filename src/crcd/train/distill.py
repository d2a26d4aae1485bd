"""Distillation: several students side by side under one teacher."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from crcd import distributed
from crcd.data import Images, Loader, known_labels, subset
from crcd.errors import CrcdError
from crcd.evaluate.accuracy import near_chance
from crcd.evaluate.scorer import Scorer
from crcd.methods import uses_maps, uses_preactivations
from crcd.models import ImageFormat, adapt_between, save_weights, weights_digest
from crcd.train.build import build_learners, check_network, metadata, own_copy
from crcd.train.config import DistillConfig
from crcd.train.device import find_device
from crcd.train.first_stage import train_first_stages
from crcd.train.learner import Learner
from crcd.train.loggers import check_installed
from crcd.train.loop import Loop
from crcd.train.material import Material
from crcd.train.options import ComputeOptions
from crcd.train.outcome import Outcome
from crcd.train.pseudo_labels import with_classes_by_turns, with_pseudo_labels
from crcd.train.rehearsal import check_labels, rehearse
from crcd.train.reporter import Reporter
from crcd.train.run_folder import RunFolder, run_folder
from crcd.train.scratch import train_classifier
from crcd.train.several import begin_together
from crcd.train.step import Guide
from crcd.train.stop import StopSignal
from crcd.train.summary import summarise
from crcd.train.teacher import Teacher
from crcd.train.teacher_cache import CachedTeacher, TeacherCache
from crcd.train.teacher_network import TeacherNetwork, given_teacher, module_teacher


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
    with run_folder(config, config.data, config.teacher, config.student) as folder:
        return _distill(config, folder, reporter or Reporter(), teacher_model, teacher_format, student_model)


def _distill(
    config: DistillConfig,
    folder: RunFolder,
    reporter: Reporter,
    teacher_model: nn.Module | None,
    teacher_format: ImageFormat | None,
    student_model: nn.Module | None,
) -> Outcome:
    stop = StopSignal(config.budget, f"{distributed.program()} distill --resume {folder.path}")
    device = find_device(config.device)
    reporter = begin_together(config, device, reporter)

    material = Material.load(config, config.seed, device)
    images = material.train
    if config.student_images is not None:
        images = subset(images, config.student_images, config.seed)
    student_images = len(known_labels(images))
    check_labels(config, len(images) - student_images)
    network = _teacher_network(config, material, folder, teacher_model, teacher_format)
    student = _student_network(config, material, student_model)
    stand_ins = with_classes_by_turns(images, material.data.num_classes) if config.pseudo_labels else images
    train = material.train_loader(stand_ins, config.teacher_views)
    scored = material.score_loader()
    given = teacher_model is not None or config.teacher_weights is not None or config.teacher_pretrained
    scorer = _try(config, material, stand_ins, train, scored, network, student, reporter, given=given)

    if config.resume is None:
        distributed.first(lambda: folder.create(config))
    network = _trained(network, config, material, folder, stop, reporter, given=given)
    teacher = _teacher(config, network, material, config)
    scorer = scorer or _scorer(config, material, scored, teacher, reporter, trained_here=True)
    if config.pseudo_labels:
        images = with_pseudo_labels(images, teacher.network, material, folder)
        train = material.train_loader(images, config.teacher_views)
    learners = build_learners(config, material, images, teacher, student)
    guide, cache = _guide(config, learners, teacher, network, material, train, folder, stop, reporter)
    first, failed = train_first_stages(config, learners, guide, train, scorer, folder, stop, reporter)
    loop = Loop(
        " ".join(config.methods),
        config,
        learners,
        guide if any(learner.guided for learner in learners) else None,
        train,
        scorer,
        folder,
        stop,
        reporter,
        config.distill_until,
        config.keep_going,
        failed,
    )
    loop.run()

    _save(config, material, folder, loop.learners)
    _note_copies(network, loop.learners, reporter)
    summary = summarise(
        config,
        material,
        scored,
        network,
        teacher,
        loop,
        student_images=student_images,
        teacher_top1=scorer.teacher_top1,
        training=distributed.first(lambda: _teacher_training(folder)),
        cache=cache,
        first=first,
    )
    folder.write_summary(summary)
    return Outcome(folder.path, summary)


def _teacher_network(
    config: DistillConfig, material: Material, folder: RunFolder, module: nn.Module | None, images: ImageFormat | None
) -> TeacherNetwork:
    """The teacher as a module, or as the settings name it, with the run's own weights where it has them already."""
    kept = folder.weights("teacher")
    if module is None:
        return given_teacher(config, material, kept)
    network = module_teacher(module, config.teacher, images, material, kept)
    classes = material.data.num_classes
    check_network(network.model, config.teacher, network.format, classes, config.teacher_classifier)
    return network


def _student_network(config: DistillConfig, material: Material, module: nn.Module | None) -> nn.Module | None:
    """A copy of the student that was given as a module; None where the settings name it."""
    if module is not None:
        module = own_copy(module, config.student)
        check_network(module, config.student, material.format, material.data.num_classes, config.student_classifier)
    return module


def _teacher(config: DistillConfig, network: TeacherNetwork, material: Material, compute: ComputeOptions) -> Teacher:
    """The network frozen, read for as much as the methods need."""
    return Teacher(
        network.model,
        material.device,
        compute,
        config.teacher_classifier,
        adapt_between(material.format, network.format),
        maps=any(map(uses_maps, config.methods)),
        preactivations=any(map(uses_preactivations, config.methods)),
    )


def _try(
    config: DistillConfig,
    material: Material,
    images: Images,
    train: Loader,
    scored: Loader,
    network: TeacherNetwork,
    student: nn.Module | None,
    reporter: Reporter,
    *,
    given: bool,
) -> Scorer | None:
    """Show mistakes before a long training, with a teacher that is thrown away; its scorer where it came trained."""
    example = _teacher(config, network, material, ComputeOptions())
    rehearse(config, material, images, train, example, student)
    return _scorer(config, material, scored, example, reporter) if given else None


def _trained(
    network: TeacherNetwork,
    config: DistillConfig,
    material: Material,
    folder: RunFolder,
    stop: StopSignal,
    reporter: Reporter,
    *,
    given: bool,
) -> TeacherNetwork:
    """The teacher, trained in a run folder of its own unless it came with weights; kept as teacher.safetensors."""
    if distributed.first(folder.weights("teacher").is_file):
        return network
    if not given:
        own = RunFolder(folder.path / "teacher")
        own_config = config.for_teacher(own.path)
        if not distributed.first(own.checkpoint.is_file):
            distributed.first(lambda: own.create(own_config))
        model = train_classifier(own_config, replace(material, seed=own_config.seed), own, stop, reporter)
        network = replace(network, model=model.cpu())  # the device has a frozen copy
    about = metadata(config.teacher, material, network.format)
    save_weights(network.model.state_dict(), folder.weights("teacher"), about)
    return network


def _teacher_training(folder: RunFolder) -> dict[str, Any]:
    """Summary of the teacher's training; empty where it came with weights."""
    own = RunFolder(folder.path / "teacher")
    return own.read_summary() if own.summary.is_file() else {}


def _scorer(
    config: DistillConfig,
    material: Material,
    scored: Loader,
    teacher: Teacher,
    reporter: Reporter,
    *,
    trained_here: bool = False,
) -> Scorer:
    """Scores students beside the teacher, whose accuracy is shown.

    Broken weights are refused and, unless that is wanted or they were trained here, a teacher near chance.
    """
    scorer = Scorer(lambda: scored.epoch(0), material.scored.labels, teacher.network)
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
    return scorer


def _guide(
    config: DistillConfig,
    learners: Sequence[Learner],
    teacher: Teacher,
    network: TeacherNetwork,
    material: Material,
    train: Loader,
    folder: RunFolder,
    stop: StopSignal,
    reporter: Reporter,
) -> tuple[Guide | None, dict[str, Any]]:
    """Whom learners ask: no one, the teacher, or a cache of its answers; and what the cache cost, empty without one."""
    if all(learner.method is None for learner in learners):
        return None, {}
    if config.teacher_views is None:
        return teacher, {}
    adapted = None if adapt_between(material.format, network.format) is None else network.format
    place = config.teacher_cache or folder.path / "teacher-cache"
    files = TeacherCache(place, config, network.model, train, adapted)
    cost = files.fill(teacher, stop, reporter)
    return CachedTeacher(files, teacher), cost


def _note_copies(network: TeacherNetwork, learners: Sequence[Learner], reporter: Reporter) -> None:
    """Tell of students that learned nothing but to be their teacher."""
    digest = weights_digest(network.model.state_dict())
    for learner in learners:
        if weights_digest(learner.result.model.state_dict()) == digest:
            reporter.note(
                f"{learner.name} is its teacher to the bit: network, images and seed are the same; to have another, "
                "give --teacher-seed another number"
            )


def _save(config: DistillConfig, material: Material, folder: RunFolder, learners: Sequence[Learner]) -> None:
    """Write the weights of every student and of what its method trained beside it."""
    for learner in learners:
        about = metadata(config.student, material)
        save_weights(learner.result.model.state_dict(), folder.weights(learner.name), about)
        if learner.method is not None and (trained := dict(learner.method.named_parameters())):
            folder.inner("methods")
            save_weights(trained, folder.method_weights(learner.name), {})
