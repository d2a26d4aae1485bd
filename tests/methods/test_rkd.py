"""Relational knowledge distillation."""

import pytest
import torch

from crcd.errors import CrcdError
from crcd.methods.rkd import RKD, RKDConfig, rkd_loss
from relational_views import LABELS, assert_trains, rows, views


def huber(x, y):
    return 0.5 * (x - y) ** 2 if abs(x - y) <= 1 else abs(x - y) - 0.5


def distances(f):
    b = len(f)
    raw = [[float((f[i] - f[j]).norm()) for j in range(b)] for i in range(b)]
    mean = sum(map(sum, raw)) / (b * (b - 1))
    return [[x / mean for x in row] for row in raw]


def angle(f, i, j, k):
    if i in (j, k):
        return 0.0
    u, v = f[j] - f[i], f[k] - f[i]
    return float(u @ v / (u.norm() * v.norm()))


def oracle(student, teacher):
    student, teacher = student.detach(), teacher.detach()
    b = len(student)
    d_s, d_t = distances(student), distances(teacher)
    distance = sum(huber(d_s[i][j], d_t[i][j]) for i in range(b) for j in range(b)) / b**2
    triplets = [(i, j, k) for i in range(b) for j in range(b) for k in range(b)]
    return distance, sum(huber(angle(student, *t), angle(teacher, *t)) for t in triplets) / b**3


def test_equals_the_formula():
    student, teacher = rows(5, 3, seed=1), rows(5, 4, seed=2)
    student[0] *= 20
    distance, angles = rkd_loss(student, teacher)
    assert (distance.item(), angles.item()) == pytest.approx(oracle(student, teacher), rel=1e-12)


@pytest.mark.parametrize("part", [0, 1])
def test_gradient(part):
    student = rows(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: rkd_loss(x, rows(4, 5, seed=2))[part], student)


def test_is_zero_for_the_same_feature_moved_rotated_and_scaled():
    teacher = rows(6, 8, seed=1)
    rotation = torch.linalg.qr(rows(8, 8, seed=2)).Q
    moved = 3 * teacher @ rotation + rows(8, seed=4)
    assert [x.item() for x in rkd_loss(moved, teacher)] == pytest.approx([0, 0], abs=1e-26)
    assert min(rkd_loss(rows(6, 8, seed=3), teacher)) > 1e-3


@pytest.mark.parametrize("b", [1, 4])
def test_equal_features_are_finite(b):
    student = torch.ones(b, 3, requires_grad=True)
    sum(rkd_loss(student, rows(b, 3).float())).backward()
    assert student.grad.isfinite().all()
    assert student.grad.abs().max() < 1e7


def test_trains_the_student():
    student, teacher, _ = views()
    terms = assert_trains(RKD.build(RKDConfig(2.0, 3.0), student, teacher, LABELS))
    distance, angles = oracle(student.feature, teacher.feature)
    assert terms["distance"].item() == pytest.approx(distance, rel=1e-4)
    assert terms["angle"].item() == pytest.approx(angles, rel=1e-4)
    assert terms["rkd"].item() == pytest.approx(2 * distance + 3 * angles, rel=1e-4)


@pytest.mark.parametrize("name", ["distance_weight", "angle_weight"])
def test_bad_settings(name):
    with pytest.raises(CrcdError, match=rf"rkd\.{name} is -1.0: give a weight of 0 or more"):
        RKDConfig(**{name: -1.0})
