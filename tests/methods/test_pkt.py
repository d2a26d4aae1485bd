"""Probabilistic knowledge transfer."""

import math

import pytest
import torch

from crcd.errors import CrcdError
from crcd.methods.pkt import EPSILON, PKT, PKTConfig, pkt_loss
from relational_views import LABELS, assert_trains, rows, views


def neighbours(f, i):
    near = [(float(f[i] @ f[j]) / float(f[i].norm() * f[j].norm()) + 1) / 2 for j in range(len(f))]
    return [x / sum(near) for x in near]


def oracle(student, teacher):
    student, teacher = student.detach(), teacher.detach()
    b, total = len(student), 0.0
    for i in range(b):
        for p_s, p_t in zip(neighbours(student, i), neighbours(teacher, i), strict=True):
            total += p_t * math.log((p_t + EPSILON) / (p_s + EPSILON))
    return total / b**2


def test_equals_the_formula():
    student, teacher = rows(5, 3, seed=1), rows(5, 4, seed=2)
    assert pkt_loss(student, teacher).item() == pytest.approx(oracle(student, teacher), rel=1e-12)


def test_gradient():
    student = rows(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: pkt_loss(x, rows(4, 5, seed=2)), student)


def test_is_zero_for_the_same_feature_rotated_and_scaled():
    teacher = rows(6, 8, seed=1)
    rotation = torch.linalg.qr(rows(8, 8, seed=2)).Q
    assert pkt_loss(3 * teacher @ rotation, teacher).item() == pytest.approx(0, abs=1e-16)
    assert pkt_loss(rows(6, 8, seed=3), teacher) > 1e-4


def test_a_dead_feature_is_finite():
    student = torch.zeros(3, 4, requires_grad=True)
    pkt_loss(student, rows(3, 4).float()).backward()
    assert student.grad.isfinite().all()


def test_trains_the_student():
    student, teacher, _ = views()
    terms = assert_trains(PKT.build(PKTConfig(weight=7.0), student, teacher, LABELS))
    assert terms["pkt"].item() == pytest.approx(7 * oracle(student.feature, teacher.feature), rel=1e-3)


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_bad_weight(weight):
    with pytest.raises(CrcdError, match=r"pkt\.weight is .*: give a weight of 0 or more"):
        PKTConfig(weight)
