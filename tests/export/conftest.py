from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crcd.export import ExportOptions, export
from crcd.train.config import DistillConfig, TrainConfig
from crcd.train.distill import distill
from crcd.train.scratch import train

CLASSES = ("cat [red]", "dog | b`ig")
"""Names that would be markup on a terminal and in Markdown."""
FORMATS = ("safetensors", "onnx", "pt2")


@pytest.fixture(scope="session")
def photographs(tmp_path_factory) -> Path:
    """Bright and dark pictures of many sizes: 8 a class to learn from, 6 to score on."""
    root = tmp_path_factory.mktemp("photographs")
    numbers = np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 6)):
        for level, name in zip((70, 150), CLASSES, strict=True):
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                width, height = numbers.integers(20, 50, 2)
                pixels = numbers.normal(level, 40, (height, width, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def small(photographs):
    """Settings of training on the photographs within a second."""
    return {
        **{"data": "folder", "data_dir": photographs, "image_size": 16, "crop_padding": 1, "flip": False},
        **{"batch_size": 8, "epochs": 12, "lr": 0.02, "milestones": (0.8,), "device": "cpu"},
    }


@pytest.fixture(scope="session")
def photo_run(small, tmp_path_factory) -> Path:
    """A resnet8 that learned the photographs."""
    return train(TrainConfig(model="resnet8", out=tmp_path_factory.mktemp("photo") / "run", **small)).folder


@pytest.fixture(scope="session")
def photo_export(photo_run) -> Path:
    """That resnet8 in every form."""
    return export([photo_run], ExportOptions(format=FORMATS)).folder


def digits_config(**changes) -> DistillConfig:
    settings = {
        **{"teacher": "resnet14", "student": "resnet8", "image_size": 8, "crop_padding": 1, "flip": False},
        **{"student_images": 100, "batch_size": 32, "epochs": 3, "teacher_epochs": 2, "device": "cpu"},
        **{"methods": ("ce", "kd"), "milestones": (0.9,), "lr": 0.02},
    }
    return DistillConfig(**settings | changes)


@pytest.fixture(scope="session")
def digit_runs(tmp_path_factory) -> list[Path]:
    """Runs of two seeds that differ in nothing else; each has a teacher, ce and kd."""
    root = tmp_path_factory.mktemp("digits")
    return [distill(digits_config(seed=seed, out=root / f"seed{seed}")).folder for seed in (3, 4)]
