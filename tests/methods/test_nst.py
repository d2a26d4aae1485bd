"""Neuron selectivity transfer."""

import pytest
import torch

from crcd.errors import CrcdError
from crcd.methods.nst import NST, NSTConfig, mean_kernel, nst_loss
from crcd.relation.view import View
from relational_views import LABELS, assert_trains, rows, views
from stage_views import assert_learns, halved, pairs_of_networks


def channels(sample):
    rows_CE = sample.flatten(1).tolist()
    return [[value / sum(x**2 for x in row) ** 0.5 for value in row] for row in rows_CE]


def kernel_mean(rows_a, rows_b):
    kernels = [sum(x * y for x, y in zip(a, b, strict=True)) ** 2 for a in rows_a for b in rows_b]
    return sum(kernels) / len(kernels)


def oracle(student, teacher):
    total = 0.0
    for sample, other in zip(student.detach(), teacher.detach(), strict=True):
        s, t = channels(sample), channels(other)
        total += kernel_mean(s, s) + kernel_mean(t, t) - 2 * kernel_mean(s, t)
    return total / len(student)


FEW_CHANNELS = (rows(3, 2, 2, 3, seed=1), rows(3, 4, 2, 3, seed=2))
MANY_CHANNELS = (rows(3, 6, 1, 2, seed=3), rows(3, 5, 1, 2, seed=4))


@pytest.mark.parametrize("maps", [FEW_CHANNELS, MANY_CHANNELS, (FEW_CHANNELS[0], rows(3, 9, 2, 3, seed=5))])
def test_equals_the_formula(maps):
    assert nst_loss(*maps).item() == pytest.approx(oracle(*maps), rel=1e-12)


@pytest.mark.parametrize(("count", "other"), [(2, 3), (3, 4), (5, 6)])
def test_mean_kernel_either_way(count, other):
    a, b = rows(2, count, 3, seed=1), rows(2, other, 3, seed=2)
    expected = sum(kernel_mean(x.tolist(), y.tolist()) for x, y in zip(a, b, strict=True)) / 2
    assert mean_kernel(a, b).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("maps", [FEW_CHANNELS, MANY_CHANNELS])
def test_gradient(maps):
    student, teacher = maps
    assert torch.autograd.gradcheck(lambda x: nst_loss(x, teacher), student.clone().requires_grad_())


def test_is_zero_for_the_same_channels_scaled_repeated_and_in_another_order():
    teacher = rows(3, 4, 3, 3, seed=1)
    repeated = torch.cat([2 * teacher, -teacher.flip(1)], dim=1)
    assert nst_loss(repeated, teacher).item() == pytest.approx(0, abs=1e-14)
    assert nst_loss(teacher.flip(3), teacher) > 1e-2


def test_a_dead_channel_is_finite_and_stays_dead():
    student = rows(2, 3, 4, 4, seed=1).float()
    student[:, 1] = 0
    nst_loss(student.requires_grad_(), rows(2, 3, 4, 4, seed=2).float()).backward()
    assert student.grad.isfinite().all()
    assert (student.grad[:, 1] == 0).all()


def test_sums_the_pooled_stages():
    student, teacher, _ = views()
    terms = assert_trains(NST.build(NSTConfig(weight=7.0), student, teacher, LABELS), reads="maps")
    total = sum(oracle(student.maps[name], halved(teacher.maps[name])) for name in ("stage1", "stage2"))
    assert terms["nst"].item() == pytest.approx(7 * total, rel=1e-4)
    assert terms["loss"] == terms["nst"]


@pairs_of_networks
def test_learns_from_every_stage_of(teacher_name, student_name):
    assert all(assert_learns(NST, NSTConfig(), student_name, teacher_name))


def test_reads_maps_and_checks_them_when_built():
    assert NST.uses_maps
    student, teacher, _ = views()
    bare = View(student.logits, student.feature, student.classifier)
    with pytest.raises(CrcdError, match="the student's view has no feature map of a stage"):
        NST.build(NSTConfig(), bare, teacher, LABELS)


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_bad_weight(weight):
    with pytest.raises(CrcdError, match=r"nst\.weight is .*: give a weight of 0 or more"):
        NSTConfig(weight)
