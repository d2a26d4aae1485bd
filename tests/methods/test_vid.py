"""Variational information distillation."""

import math

import pytest
import torch

from crcd.errors import CrcdError
from crcd.methods.vid import VID, Prediction, VIDConfig, vid_loss
from crcd.relation.view import View
from relational_views import LABELS, assert_trains, rows, views
from stage_views import assert_learns, halved, pairs_of_networks


def density(value, mean, variance):
    return math.exp(-((value - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def oracle(mean, variance, teacher):
    total = 0.0
    for each, other in zip(mean.detach(), teacher.detach(), strict=True):
        for m_c, variance_c, t_c in zip(each, variance.tolist(), other, strict=True):
            for m, t in zip(m_c.flatten().tolist(), t_c.flatten().tolist(), strict=True):
                total -= math.log(density(t, m, variance_c)) + math.log(2 * math.pi) / 2
    return total / teacher.numel()


def mean_of(prediction, student):
    """The three layers, place by place."""
    first, second, third = (layer.weight.detach()[:, :, 0, 0] for layer in prediction.mean[::2])
    mean = torch.empty(len(student), len(third), *student.shape[2:])
    for b, h, w in torch.cartesian_prod(*(torch.arange(n) for n in (len(student), *student.shape[2:]))).tolist():
        mean[b, :, h, w] = third @ (second @ (first @ student[b, :, h, w]).relu()).relu()
    return mean


def test_equals_the_formula():
    mean, teacher = rows(3, 4, 2, 3, seed=1), rows(3, 4, 2, 3, seed=2)
    variance = torch.tensor([0.3, 1.0, 2.5, 7.0], dtype=torch.float64)
    assert vid_loss(mean, variance, teacher).item() == pytest.approx(oracle(mean, variance, teacher), rel=1e-12)


def test_gradient():
    teacher = rows(2, 3, 2, 2, seed=2)
    variance = torch.tensor([0.3, 1.0, 2.5], dtype=torch.float64, requires_grad=True)
    mean = rows(2, 3, 2, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda m, v: vid_loss(m, v, teacher), (mean, variance))


def test_the_best_variance_is_each_channels_mean_squared_error():
    mean, teacher = rows(3, 2, 4, 4, seed=1), rows(3, 2, 4, 4, seed=2)
    best = (teacher - mean).square().mean(dim=(0, 2, 3)).requires_grad_()
    vid_loss(mean, best, teacher).backward()
    torch.testing.assert_close(best.grad, torch.zeros_like(best), atol=1e-15, rtol=0)


def test_variance_starts_at_five_and_stays_above_its_minimum():
    prediction, student = Prediction(3, 4), rows(2, 3, 2, 2).float()
    torch.testing.assert_close(prediction(student)[1], torch.full((4,), 5.0))
    torch.nn.init.constant_(prediction.rho_C, -200.0)
    torch.testing.assert_close(prediction(student)[1], torch.full((4,), 1e-5))


def test_sums_the_pooled_stages():
    student, teacher, _ = views()
    torch.manual_seed(3)
    method = VID.build(VIDConfig(weight=7.0), student, teacher, LABELS)
    terms = assert_trains(method, reads="maps")
    total = 0.0
    for name, prediction in zip(("stage1", "stage2"), method.predictions, strict=True):
        mean = mean_of(prediction, student.maps[name].detach())
        total += oracle(mean, torch.full((mean.shape[1],), 5.0), halved(teacher.maps[name]))
    assert terms["vid"].item() == pytest.approx(7 * total, rel=1e-4)
    assert terms["loss"] == terms["vid"]


@pairs_of_networks
def test_learns_from_every_stage_of(teacher_name, student_name):
    assert all(assert_learns(VID, VIDConfig(), student_name, teacher_name))


def test_reads_maps_and_checks_them_when_built():
    assert VID.uses_maps
    student, teacher, _ = views()
    bare = View(student.logits, student.feature, student.classifier)
    with pytest.raises(CrcdError, match="the student's view has no feature map of a stage"):
        VID.build(VIDConfig(), bare, teacher, LABELS)


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_bad_weight(weight):
    with pytest.raises(CrcdError, match=r"vid\.weight is .*: give a weight of 0 or more"):
        VIDConfig(weight)
