"""FitNet hints."""

import math

import pytest
import torch
from torch import nn

from crcd.data.batch import Batch
from crcd.errors import CrcdError
from crcd.methods.fitnet import FitNet, FitNetConfig
from crcd.relation.view import View
from relational_views import LABELS, assert_trains, rows, views
from stage_views import assert_learns, pairs_of_networks

SIZES = pytest.mark.parametrize(
    ("student_size", "teacher_size", "kind", "kernel"),
    [
        ((4, 4), (4, 4), nn.Conv2d, 1),
        ((4, 6), (2, 3), nn.Conv2d, 3),
        ((2, 3), (4, 6), nn.ConvTranspose2d, 4),
        ((8, 8), (2, 2), nn.Conv2d, 1),
        ((2, 2), (8, 8), nn.Conv2d, 1),
        ((7, 4), (4, 4), nn.Conv2d, 1),
        ((4, 4), (2, 8), nn.Conv2d, 1),
    ],
)


def view_of(channels, size, seed, count=1):
    maps = {f"stage{number}": rows(3, channels, *size, seed=seed + number) for number in range(1, count + 1)}
    return View(rows(3, 4), rows(3, 5), nn.Linear(5, 4), maps)


def make_method(student, teacher, **settings):
    torch.manual_seed(3)
    method = FitNet.build(FitNetConfig(**settings), student, teacher, torch.arange(3)).double()
    norm = method.regressor[1]
    nn.init.uniform_(norm.weight, 0.5, 2.0)
    nn.init.uniform_(norm.bias, -0.5, 0.5)
    return method


def loss_of(method, student, teacher):
    return method(student, teacher, Batch(torch.zeros(3, 1, 1, 1), torch.arange(3), torch.arange(3)))["loss"]


def oracle(method, student_map, hint):
    """The regressor channel by channel: a weighted sum of the student's, then the batch's mean and deviation."""
    convolution, norm, _ = method.regressor
    errors = []
    for c in range(hint.shape[1]):
        weights = convolution.weight[c, :, 0, 0].tolist()
        values = convolution.bias[c].item() + sum(w * student_map[:, i] for i, w in enumerate(weights))
        flat = values.flatten().tolist()
        mean = sum(flat) / len(flat)
        deviation = math.sqrt(sum((x - mean) ** 2 for x in flat) / len(flat) + norm.eps)
        scale, shift = norm.weight[c].item(), norm.bias[c].item()
        predicted = [max(scale * (x - mean) / deviation + shift, 0.0) for x in flat]
        errors += [(p - t) ** 2 for p, t in zip(predicted, hint[:, c].flatten().tolist(), strict=True)]
    return sum(errors) / len(errors)


def test_equals_the_formula():
    student, teacher = view_of(2, (3, 4), 1), view_of(5, (3, 4), 2)
    method = make_method(student, teacher, weight=7.0, stage=1)
    expected = 7 * oracle(method, student.maps["stage1"], teacher.maps["stage1"])
    assert loss_of(method, student, teacher).item() == pytest.approx(expected, rel=1e-12)


@SIZES
def test_sizes(student_size, teacher_size, kind, kernel):
    student, teacher = view_of(2, student_size, 1), view_of(5, teacher_size, 2)
    method = make_method(student, teacher, stage=1)
    convolution = method.regressor[0]
    assert type(convolution) is kind
    assert convolution.kernel_size == (kernel, kernel)
    if kernel > 1:
        assert method.regressor(student.maps["stage1"]).shape == teacher.maps["stage1"].shape
    loss_of(method, student, teacher).backward()
    assert all(parameter.grad.isfinite().all() for parameter in method.parameters())


@pytest.mark.parametrize("teacher_size", [(2, 2), (4, 4), (8, 8), (3, 3)])
def test_gradient(teacher_size):
    student, teacher = view_of(2, (4, 4), 1), view_of(2, teacher_size, 2)
    method = make_method(student, teacher, weight=1.0, stage=1)

    def loss(stage1):
        return loss_of(method, View(student.logits, student.feature, student.classifier, {"stage1": stage1}), teacher)

    assert torch.autograd.gradcheck(loss, student.maps["stage1"].requires_grad_())


def test_is_zero_where_the_regressor_gives_the_hint():
    student, teacher = view_of(2, (4, 4), 1), view_of(5, (2, 2), 2)
    method = make_method(student, teacher, stage=1)
    hint = method.regressor(student.maps["stage1"]).detach()
    given = View(teacher.logits, teacher.feature, teacher.classifier, {"stage1": hint})
    assert loss_of(method, student, given).item() == pytest.approx(0, abs=1e-24)


def test_trains_the_second_stage():
    student, teacher, batch = views()
    terms = assert_trains(FitNet.build(FitNetConfig(), student, teacher, LABELS), reads="maps")
    assert terms["loss"] == terms["fitnet"]
    FitNet.build(FitNetConfig(), student, teacher, LABELS)(student, teacher, batch)["loss"].backward()
    assert student.maps["stage1"].grad is None


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_counts_paired_stages(stage):
    student, teacher = view_of(2, (4, 4), 1, count=3), view_of(2, (4, 4), 2, count=4)
    method = make_method(student, teacher, weight=1.0, stage=stage)
    expected = oracle(method, student.maps[f"stage{stage}"], teacher.maps[f"stage{stage + 1}"])
    assert loss_of(method, student, teacher).item() == pytest.approx(expected, rel=1e-12)


@pairs_of_networks
def test_learns_from_the_second_stage_of(teacher_name, student_name):
    reached = assert_learns(FitNet, FitNetConfig(), student_name, teacher_name)
    assert [number for number, is_reached in enumerate(reached, start=1) if is_reached] == [2]


def test_too_few_stages():
    assert FitNet.uses_maps
    student, teacher = view_of(2, (4, 4), 1, count=2), view_of(2, (4, 4), 2, count=4)
    with pytest.raises(CrcdError, match=r"fitnet\.stage is 3, but only 2 stages can be paired: give 1 to 2"):
        FitNet.build(FitNetConfig(stage=3), student, teacher, LABELS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight": -1.0}, r"fitnet\.weight is -1.0: give a weight of 0 or more"),
        ({"weight": math.nan}, r"fitnet\.weight is nan"),
        ({"stage": 0}, r"fitnet\.stage is 0: give a stage of 1 or more"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(CrcdError, match=message):
        FitNetConfig(**settings)
