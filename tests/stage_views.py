"""Views whose maps are those of real networks' stages, and what every method that reads maps must do with them."""

from functools import cache

import pytest
import torch
from torch import Tensor

from crcd.data.batch import Batch
from crcd.methods.method import Method
from crcd.methods.stages import paired_stages
from crcd.models import Viewer, create_model, stage_names
from crcd.relation.view import View

B, C = 2, 4

pairs_of_networks = pytest.mark.parametrize(
    ("teacher_name", "student_name"),
    [
        ("resnet56", "resnet20"),
        ("wrn_40_2", "wrn_16_2"),
        ("vgg13", "mobilenetv2"),
        ("resnet50", "vgg8"),
        ("resnet50", "mobilenetv2"),
        ("resnet50", "resnet20"),  # four stages and three
        ("resnet32x4", "shufflenetv1"),
        ("resnet32x4", "shufflenetv2"),
        ("wrn_40_2", "shufflenetv1"),
        ("wrn_40_2", "timm/regnetx_002"),
        ("timm/resnet10t", "timm/regnetx_002"),
    ],
)
"""Pairs of the CRD authors' benchmark, one of different numbers of stages, and timm's networks."""


@cache
def _view(name: str) -> View:
    torch.manual_seed(0)
    model = create_model(name, C).eval()
    side = 64 if name.startswith("timm/") else 32  # at 32x32 timm's last stages are 1x1, where some losses are constant
    with torch.no_grad():
        return Viewer(model, stage_names(model))(torch.randn(B, 3, side, side))


def halved(map_BCHW: Tensor) -> Tensor:
    """Means of the map's 2x2 blocks."""
    b, c, h, w = map_BCHW.shape
    return map_BCHW.reshape(b, c, h // 2, 2, w // 2, 2).mean(dim=(3, 5))


def network_view(name: str) -> View:
    """A network's view of small images, its maps leaves that ask for gradients."""
    view = _view(name)
    maps = {stage: stage_map.clone().requires_grad_() for stage, stage_map in view.maps.items()}
    return View(view.logits, view.feature, view.classifier, maps)


def assert_learns(kind: type[Method], config: object, student_name: str, teacher_name: str) -> list[bool]:
    """Built for two networks, it reaches the student's maps and its own parameters, and nothing of the teacher.

    Returns:
        Whether the loss depends on the student's map, of each pair of stages.
    """
    student, teacher = network_view(student_name), network_view(teacher_name)
    torch.manual_seed(1)
    method = kind.build(config, student, teacher, torch.arange(C))
    loss = method(student, teacher, Batch(torch.zeros(B, 1, 1, 1), torch.arange(B), torch.arange(B)))["loss"]
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad.abs().sum() > 0 for parameter in method.parameters())
    assert all(stage_map.grad is None for stage_map in teacher.maps.values())
    gradients = [student_map.grad for student_map, _ in paired_stages(student, teacher)]
    assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)
    return [gradient is not None and bool(gradient.abs().sum() > 0) for gradient in gradients]
