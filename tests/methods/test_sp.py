"""Similarity-preserving distillation."""

import pytest
import torch

from crcd.errors import CrcdError
from crcd.methods.sp import SP, SPConfig, sp_loss
from crcd.relation.view import View
from relational_views import LABELS, assert_trains, rows, views


def oracle(student, teacher):
    student, teacher = student.detach(), teacher.detach()
    b, total = len(student), 0.0
    for i in range(b):
        similar = [[sum((m[i] * m[j]).flatten().tolist()) for j in range(b)] for m in (student, teacher)]
        g_s, g_t = ([x / sum(y * y for y in row) ** 0.5 for x in row] for row in similar)
        total += sum((x - y) ** 2 for x, y in zip(g_s, g_t, strict=True))
    return total / b**2


def test_equals_the_formula():
    student, teacher = rows(5, 3, 2, 2, seed=1), rows(5, 2, 4, 4, seed=2)
    assert sp_loss(student, teacher).item() == pytest.approx(oracle(student, teacher), rel=1e-12)


def test_gradient():
    student = rows(4, 2, 2, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sp_loss(x, rows(4, 7, seed=2)), student)


def test_is_zero_for_the_same_map_rotated_and_scaled():
    teacher = rows(6, 8, seed=1)
    rotation = torch.linalg.qr(rows(8, 8, seed=2)).Q
    assert sp_loss(3 * teacher @ rotation, teacher).item() == pytest.approx(0, abs=1e-28)
    assert sp_loss(rows(6, 8, seed=3), teacher) > 1e-3


def test_a_dead_map_is_finite():
    student = torch.zeros(3, 4, requires_grad=True)
    sp_loss(student, rows(3, 4).float()).backward()
    assert student.grad.isfinite().all()


def test_trains_the_last_map():
    student, teacher, _ = views()
    terms = assert_trains(SP.build(SPConfig(weight=7.0), student, teacher, LABELS), reads="maps")
    assert terms["sp"].item() == pytest.approx(7 * oracle(student.maps["stage2"], teacher.maps["stage2"]), rel=1e-4)


def test_needs_maps():
    assert SP.uses_maps
    student, teacher, _ = views()
    bare = View(teacher.logits, teacher.feature, teacher.classifier)
    with pytest.raises(CrcdError, match="teacher's view has none"):
        SP.build(SPConfig(), student, bare, LABELS)


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_bad_weight(weight):
    with pytest.raises(CrcdError, match=r"sp\.weight is .*: give a weight of 0 or more"):
        SPConfig(weight)
