from dataclasses import replace
from pathlib import Path

import pytest
import torch

from crcd.models import create_model, save_weights
from crcd.train.config import DistillConfig


@pytest.fixture(scope="session")
def teacher_weights(tmp_path_factory) -> Path:
    """A resnet8 for the digits that is not trained: quick, and as good as any for how a run works."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "teacher.safetensors"
    save_weights(create_model("resnet8", 10, 1).state_dict(), path, {"model": "resnet8"})
    return path


@pytest.fixture(scope="session")
def quick(teacher_weights):
    """Makes settings of a run of a second; arguments override them, and name ``out``."""
    base = DistillConfig(
        teacher="resnet8",
        teacher_weights=teacher_weights,
        weak_teacher=True,
        student="resnet8",
        image_size=8,
        crop_padding=1,
        flip=False,
        student_images=100,
        batch_size=32,
        epochs=2,
        device="cpu",
    )
    return lambda **changes: replace(base, **changes)
