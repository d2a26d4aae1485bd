"""Correlation congruence."""

import math

import pytest
import torch

from crcd.errors import CrcdError
from crcd.methods.cc import CC, CCConfig, cc_loss, correlation
from relational_views import LABELS, assert_trains, rows, views


def kernel(x, y, gamma, order):
    cosine = float(x @ y) / float(x.norm() * y.norm())
    powers = [(2 * gamma) ** p / math.factorial(p) * cosine**p for p in range(order + 1)]
    return math.exp(-2 * gamma) * sum(powers)


def oracle(student, teacher, gamma, order):
    student, teacher = student.detach(), teacher.detach()
    total, b = 0.0, len(student)
    for i in range(b):
        for j in range(b):
            pairs = [kernel(f[i], f[j], gamma, order) for f in (student, teacher)]
            total += (pairs[0] - pairs[1]) ** 2
    return total / b**2


@pytest.mark.parametrize("order", [1, 2, 5])
def test_equals_the_formula(order):
    student, teacher = rows(5, 3, seed=1), rows(5, 4, seed=2)
    assert cc_loss(student, teacher, 0.4, order).item() == pytest.approx(
        oracle(student, teacher, 0.4, order), rel=1e-12
    )


def test_high_orders_reach_the_gaussian_kernel():
    unit = torch.nn.functional.normalize(rows(5, 3), dim=1)
    gaussian = torch.exp(-0.7 * torch.cdist(unit, unit).square())
    torch.testing.assert_close(correlation(9 * unit, 0.7, 25), gaussian, rtol=1e-12, atol=1e-12)


def test_gradient():
    student = rows(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: cc_loss(x, rows(4, 5, seed=2), 0.4, 3), student)


def test_is_zero_for_the_same_feature_rotated():
    teacher = rows(6, 8, seed=1)
    rotation = torch.linalg.qr(rows(8, 8, seed=2)).Q
    assert cc_loss(3 * teacher @ rotation, teacher, 0.4, 2).item() == pytest.approx(0, abs=1e-28)
    assert cc_loss(rows(6, 8, seed=3), teacher, 0.4, 2) > 1e-3


def test_trains_the_student():
    student, teacher, _ = views()
    terms = assert_trains(CC.build(CCConfig(weight=7.0), student, teacher, LABELS))
    assert terms["cc"].item() == pytest.approx(7 * oracle(student.feature, teacher.feature, 0.4, 2), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [("weight", -1.0, "0 or more"), ("gamma", 0.0, "more than 0"), ("order", 0, "1 or more")],
)
def test_bad_settings(name, value, advice):
    with pytest.raises(CrcdError, match=rf"cc\.{name} is {value}: give {advice}"):
        CCConfig(**{name: value})
