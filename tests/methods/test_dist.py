"""Distillation of relations between and within classes."""

import math

import pytest
import torch

from crcd.errors import CrcdError
from crcd.methods.dist import DIST, DISTConfig, correlation_distance
from logit_views import TARGET, check_gradients, logits, student_view, teacher_view


def pearson(a, b):
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    covariance = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    return covariance / math.sqrt(sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b))


def oracle(student, teacher):
    return 1 - sum(pearson(a, b) for a, b in zip(student, teacher, strict=True)) / len(student)


def columns(rows):
    return [list(column) for column in zip(*rows, strict=True)]


def probabilities(z, temperature):
    powers = [[math.exp(x / temperature) for x in row] for row in z.tolist()]
    return [[power / sum(row) for power in row] for row in powers]


def test_equals_the_formula():
    student, teacher = logits(1), logits(2)
    expected = oracle(student.tolist(), teacher.tolist())
    assert correlation_distance(student, teacher).item() == pytest.approx(expected, rel=1e-7)


def test_gradient():
    assert torch.autograd.gradcheck(lambda x: correlation_distance(x, logits(2)), logits(1).requires_grad_())


def test_scale_and_shift_do_not_matter_and_the_opposite_is_two():
    teacher = logits(1)
    assert correlation_distance(3 * teacher + 2, teacher).item() == pytest.approx(0, abs=1e-8)
    assert correlation_distance(-teacher, teacher).item() == pytest.approx(2, abs=1e-8)


def test_rows_that_do_not_vary_have_a_finite_gradient():
    student = torch.ones(3, 4, requires_grad=True)
    correlation_distance(student, logits(1, 3).float()).backward()
    assert student.grad.isfinite().all()


def test_trains_the_student():
    terms = check_gradients(DIST.build(DISTConfig(2.0, 0.5, 3.0), student_view(), teacher_view(), TARGET), "dist")
    p_s, p_t = (probabilities(view.logits, 3.0) for view in (student_view(), teacher_view()))
    inter, intra = 9 * 2 * oracle(p_s, p_t), 9 * 0.5 * oracle(columns(p_s), columns(p_t))
    assert terms["inter"].item() == pytest.approx(inter, rel=1e-4)
    assert terms["intra"].item() == pytest.approx(intra, rel=1e-4)
    assert terms["loss"].item() == pytest.approx(inter + intra, rel=1e-4)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [("beta", -1.0, "0 or more"), ("gamma", math.nan, "0 or more"), ("temperature", 0.0, "above 0")],
)
def test_bad_settings(setting, value, said):
    with pytest.raises(CrcdError, match=rf"dist\.{setting} is {value}: give .* {said}"):
        DISTConfig(**{setting: value})
