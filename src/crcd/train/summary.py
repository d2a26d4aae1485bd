"""The summary of a run of distillation."""

from collections.abc import Mapping
from typing import Any

from crcd.data import Loader
from crcd.evaluate.students import score_students
from crcd.models import weights_digest
from crcd.train.config import DistillConfig
from crcd.train.loop import Loop
from crcd.train.material import Material
from crcd.train.outcome import describe_run, learner_entry, model_entry
from crcd.train.teacher import Teacher
from crcd.train.teacher_network import TeacherNetwork


def summarise(
    config: DistillConfig,
    material: Material,
    scored: Loader,
    network: TeacherNetwork,
    teacher: Teacher,
    loop: Loop,
    *,
    student_images: int,
    teacher_top1: float | None,
    training: Mapping[str, Any],
    cache: Mapping[str, Any],
    first: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """What the run came to.

    Args:
        config: its settings.
        material: the data.
        scored: the images to score on.
        network: the teacher as it was given or trained.
        teacher: its frozen copy.
        loop: the training, at its end.
        student_images: labelled images that the students saw.
        teacher_top1: the teacher's accuracy, percent.
        training: summary of the teacher's training; empty where it came with weights.
        cache: what the cache of its answers cost; empty without one.
        first: what the first stage of each learner that has one came to.
    """
    viewers = [learner.result for learner in loop.learners]
    teacher_scores, scores = score_students(teacher.viewer, viewers, scored.epoch(0), material.scored.labels)
    return {
        **describe_run(config, material),
        "student_images": student_images,
        "teacher": {
            **model_entry(config.teacher, network.model, network.format),
            "top1": teacher_top1,
            **teacher_scores,
            "weights": weights_digest(network.model.state_dict()),
            **({"cache": cache} if cache else {}),
            "epochs": training.get("epochs"),
            "seconds": training.get("step_seconds", 0.0),
        },
        "learners": {
            learner.name: {
                **learner_entry(config.student, learner.result.model, learner.name, loop.history, material),
                **score,
                **({"first_stage": first[learner.name]} if learner.name in first else {}),
            }
            for learner, score in zip(loop.learners, scores, strict=True)
        },
        "failed": loop.failed,
        "step_seconds": loop.step_seconds,
        "seconds": round(loop.seconds + sum(part["seconds"] for part in (training, cache, *first.values()) if part), 3),
    }
