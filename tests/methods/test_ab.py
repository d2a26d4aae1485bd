"""Activation boundaries."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

from crcd.data.batch import Batch
from crcd.errors import CrcdError
from crcd.methods.ab import AB, ABConfig, ab_loss
from crcd.models import Viewer, create_model, stage_names
from relational_views import LABELS, rows, views

B = 2
IMAGE = torch.randn(B, 3, 32, 32, generator=torch.Generator().manual_seed(0))
BATCH = Batch(IMAGE, torch.arange(B), torch.arange(B))


def oracle(student, teacher, margin=1.0):
    """Neuron by neuron: away from the boundary, on the teacher's side of it."""
    total = 0.0
    for s, t in zip(student.detach().flatten().tolist(), teacher.detach().flatten().tolist(), strict=True):
        if t > 0 and s <= margin:
            total += (s - margin) ** 2
        if t <= 0 and s > -margin:
            total += (s + margin) ** 2
    return total / len(student)


@cache
def network_view(name):
    torch.manual_seed(0)
    model = create_model(name, 4).eval()
    with torch.no_grad():
        return Viewer(model, stage_names(model), preactivations=True)(IMAGE)


def with_leaves(view):
    leaves = {name: each.detach().clone().requires_grad_() for name, each in view.preactivations.items()}
    return replace(view, preactivations=leaves)


def small_views():
    """Two stages: the teacher's maps are of other widths, and twice as high and wide."""
    return [replace(view, preactivations=view.maps) for view in views()[:2]]


@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_equals_the_formula(margin):
    student, teacher = rows(3, 4, 2, 3, seed=1), rows(3, 4, 2, 3, seed=2)
    assert ab_loss(student, teacher, margin).item() == pytest.approx(oracle(student, teacher, margin), rel=1e-12)


def test_a_teachers_neuron_at_zero_is_not_active():
    student = rows(2, 3, 1, 1)
    assert ab_loss(student, torch.zeros(2, 3, 1, 1), 1.0).item() == pytest.approx(oracle(student, 0 * student))


def test_gradient():
    teacher = rows(2, 3, 2, 2, seed=2)
    assert torch.autograd.gradcheck(lambda x: ab_loss(x, teacher, 1.0), rows(2, 3, 2, 2, seed=1).requires_grad_())


def test_is_zero_beyond_the_margin_on_the_teachers_side():
    teacher = rows(2, 3, 2, 2)
    student = teacher.sign() * (1 + teacher.abs())
    assert ab_loss(student, 5 * teacher, 1.0) == 0
    assert ab_loss(-student, teacher, 1.0) > 4


def test_later_stages_weigh_twice_as_much():
    view = network_view("resnet8")
    other = replace(view, preactivations={name: -each for name, each in view.preactivations.items()})
    method = AB.build(ABConfig(), view, other, LABELS)
    assert [type(connector) for connector in method.connectors] == [nn.Identity] * 3
    terms = method(view, other, BATCH)
    losses = [oracle(view.preactivations[name], other.preactivations[name]) for name in ("stage1", "stage2", "stage3")]
    assert terms["ab"].item() == pytest.approx(0.003 * (losses[0] / 4 + losses[1] / 2 + losses[2]), rel=1e-4)
    assert terms["loss"] == terms["ab"]
    assert not terms["ab"].requires_grad


def test_connectors_have_no_relu():
    student, teacher = small_views()
    method = AB.build(ABConfig(), student, teacher, LABELS)
    for name, connector in zip(("stage1", "stage2"), method.connectors, strict=True):
        assert connector(student.preactivations[name]).shape == teacher.preactivations[name].shape
        assert (connector(student.preactivations[name]) < 0).any()


@pytest.mark.parametrize(
    ("teacher_name", "student_name"),
    [
        ("resnet56", "resnet20"),
        ("wrn_40_2", "wrn_16_2"),
        ("vgg13", "mobilenetv2"),
        ("resnet50", "vgg8"),
        ("resnet50", "resnet20"),  # four stages and three
        ("resnet32x4", "shufflenetv1"),
        ("wrn_40_2", "shufflenetv2"),
    ],
)
def test_learns_from_every_stage_of(teacher_name, student_name):
    student, teacher = with_leaves(network_view(student_name)), with_leaves(network_view(teacher_name))
    torch.manual_seed(1)
    method = AB.build(ABConfig(), student, teacher, LABELS)
    loss = method(student, teacher, BATCH)["loss"]
    loss.backward()
    assert loss.isfinite()
    count = min(len(student.preactivations), len(teacher.preactivations))
    for each in list(student.preactivations.values())[-count:]:
        assert each.grad.isfinite().all()
        assert each.grad.abs().sum() > 0
    assert all(each.grad is None for each in teacher.preactivations.values())
    for connector in method.connectors:
        for layer in (layer for layer in connector.children() if isinstance(layer, nn.BatchNorm2d)):
            assert layer.weight.grad.abs().sum() > 0
        for parameter in connector.parameters():
            assert parameter.grad is not None


def test_maps_of_no_simple_ratio_are_pooled():
    student, teacher = small_views()
    student = replace(student, preactivations={"stage1": rows(8, 2, 9, 3).float(), "stage2": rows(8, 3, 1, 7).float()})
    method = AB.build(ABConfig(), student, teacher, LABELS)
    assert method(student, teacher, BATCH)["loss"].isfinite()


def test_needs_preactivations():
    assert AB.uses_maps
    assert AB.uses_preactivations
    student, teacher, _ = views()
    with pytest.raises(CrcdError, match="the student's view has no feature map of a stage"):
        AB.build(ABConfig(), student, teacher, LABELS)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"margin": 0.0}, r"ab\.margin is 0\.0: give a margin above 0"),
        ({"margin": float("nan")}, r"ab\.margin is nan"),
        ({"first_stage_epochs": 0}, r"ab\.first_stage_epochs is 0: give 1 or more"),
    ],
)
def test_bad_settings(values, told):
    with pytest.raises(CrcdError, match=told):
        ABConfig(**values)
