"""Attention transfer."""

import pytest
import torch

from crcd.errors import CrcdError
from crcd.methods.at import AT, ATConfig, at_loss
from crcd.relation.view import View
from relational_views import LABELS, assert_trains, rows, views
from stage_views import assert_learns, halved, pairs_of_networks


def attention_of(sample):
    squares = [sum(value**2 for value in place) / len(place) for place in sample.flatten(1).T.tolist()]
    length = sum(value**2 for value in squares) ** 0.5
    return [value / length for value in squares]


def oracle(student, teacher):
    errors = [
        (q_s - q_t) ** 2
        for sample, other in zip(student.detach(), teacher.detach(), strict=True)
        for q_s, q_t in zip(attention_of(sample), attention_of(other), strict=True)
    ]
    return sum(errors) / len(errors)


def test_equals_the_formula():
    student, teacher = rows(3, 4, 3, 5, seed=1), rows(3, 2, 3, 5, seed=2)
    assert at_loss(student, teacher).item() == pytest.approx(oracle(student, teacher), rel=1e-12)


def test_gradient():
    teacher = rows(2, 3, 2, 3, seed=2)
    assert torch.autograd.gradcheck(lambda x: at_loss(x, teacher), rows(2, 4, 2, 3, seed=1).requires_grad_())


def test_sees_neither_scale_nor_sign_nor_order_of_channels():
    teacher = rows(3, 4, 3, 3, seed=1)
    scale = torch.tensor([2.0, -0.5, 3.0])[:, None, None, None]
    assert at_loss(scale * teacher[:, [2, 0, 3, 1]], teacher).item() == pytest.approx(0, abs=1e-28)
    assert at_loss(teacher.flip(3), teacher) > 1e-3


def test_a_dead_map_is_finite():
    student = torch.zeros(2, 3, 4, 4, requires_grad=True)
    at_loss(student, rows(2, 3, 4, 4).float()).backward()
    assert student.grad.isfinite().all()


def test_sums_the_pooled_stages():
    student, teacher, _ = views()
    terms = assert_trains(AT.build(ATConfig(weight=7.0), student, teacher, LABELS), reads="maps")
    total = sum(oracle(student.maps[name], halved(teacher.maps[name])) for name in ("stage1", "stage2"))
    assert terms["at"].item() == pytest.approx(7 * total, rel=1e-4)
    assert terms["loss"] == terms["at"]


@pairs_of_networks
def test_learns_from_every_stage_of(teacher_name, student_name):
    assert all(assert_learns(AT, ATConfig(), student_name, teacher_name))


def test_reads_maps_and_checks_them_when_built():
    assert AT.uses_maps
    student, teacher, _ = views()
    bare = View(student.logits, student.feature, student.classifier)
    with pytest.raises(CrcdError, match="the student's view has no feature map of a stage"):
        AT.build(ATConfig(), bare, teacher, LABELS)


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_bad_weight(weight):
    with pytest.raises(CrcdError, match=r"at\.weight is .*: give a weight of 0 or more"):
        ATConfig(weight)
