from dataclasses import replace
from pathlib import Path

import pytest

from crcd.models import create_model, save_weights
from crcd.relation.config import RelationConfig
from crcd.report.networks import Place
from crcd.report.report import write_report
from crcd.report.runs import find_runs
from crcd.report.source import Source
from crcd.report.subject import subjects
from crcd.train.config import DistillConfig
from crcd.train.distill import distill

METHODS = ("ce", "kd", "crcd+kd")


@pytest.fixture(scope="session")
def settings(tmp_path_factory) -> DistillConfig:
    """Settings of a run of two seconds, under a teacher that is not trained."""
    weights = tmp_path_factory.mktemp("weights") / "teacher.safetensors"
    save_weights(create_model("resnet8", 10, 1).state_dict(), weights, {"model": "resnet8"})
    return DistillConfig(
        teacher="resnet8",
        teacher_weights=weights,
        weak_teacher=True,
        student="resnet8",
        image_size=8,
        crop_padding=1,
        flip=False,
        student_images=400,
        batch_size=32,
        epochs=3,
        methods=METHODS,
        crcd=RelationConfig(negatives=32, dim=16),
        device="cpu",
    )


@pytest.fixture(scope="session")
def runs(settings, tmp_path_factory) -> list[Path]:
    """Folders of two runs that differ in their seed."""
    folders = [tmp_path_factory.mktemp("runs") / f"seed{seed}" for seed in (0, 1)]
    for seed, folder in enumerate(folders):
        distill(replace(settings, seed=seed, out=folder))
    return folders


@pytest.fixture(scope="session")
def source(runs) -> Source:
    """What a report of the first run draws on."""
    setups = subjects(find_runs(runs[:1]), None)
    return Source(setups[0], setups, Place("cpu"), lambda loader, _: loader.epoch(0))


@pytest.fixture(scope="session")
def page(runs, tmp_path_factory) -> Path:
    """A report of the first run."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(runs[:1], path, place=Place("cpu"))
    return path
