"""Logit distillation, plain and with standardised logits."""

import math

import pytest
import torch

from crcd.errors import CrcdError
from crcd.methods.kd import KD, KDConfig, distillation_loss, standardised
from logit_views import TARGET, check_gradients, logits, student_view, teacher_view


def softmax(row):
    return [math.exp(z) / sum(math.exp(other) for other in row) for z in row]


def oracle(student, teacher, temperature):
    total = 0.0
    for row_s, row_t in zip(student.tolist(), teacher.tolist(), strict=True):
        p_s, p_t = softmax([z / temperature for z in row_s]), softmax([z / temperature for z in row_t])
        total += sum(t * math.log(t / s) for s, t in zip(p_s, p_t, strict=True))
    return temperature**2 * total / len(student)


def z_scores(row):
    mean = sum(row) / len(row)
    deviation = math.sqrt(sum((z - mean) ** 2 for z in row) / (len(row) - 1))
    return [(z - mean) / (deviation + 1e-7) for z in row]


def test_equals_the_formula():
    student, teacher = logits(1), logits(2)
    assert distillation_loss(student, teacher, 3.0).item() == pytest.approx(oracle(student, teacher, 3.0), rel=1e-12)


def test_standardised_equals_the_formula():
    rows = [z_scores(row) for row in logits(1).tolist()]
    torch.testing.assert_close(standardised(logits(1)).tolist(), rows, rtol=1e-12, atol=1e-14)


def test_gradient_of_standardised_logits():
    def loss(student):
        return distillation_loss(standardised(student), standardised(logits(2)), 2.0)

    assert torch.autograd.gradcheck(loss, logits(1).requires_grad_())


def test_standardised_logits_of_any_shift_and_scale_agree():
    student = 0.2 * logits(2) - 5
    assert distillation_loss(student, logits(2), 2.0) > 0.1
    assert distillation_loss(standardised(student), standardised(logits(2)), 2.0).item() == pytest.approx(0, abs=1e-12)


def test_equal_logits_of_all_classes_have_a_finite_gradient():
    student = torch.ones(2, 4, requires_grad=True)
    distillation_loss(standardised(student), logits(1, 2).float(), 2.0).backward()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("standardise", [False, True])
def test_trains_the_student(standardise):
    terms = check_gradients(KD.build(KDConfig(9.0, 2.0, standardise), student_view(), teacher_view(), TARGET), "kd")
    pair = [view.logits.detach().double() for view in (student_view(), teacher_view())]
    if standardise:
        pair = [torch.tensor([z_scores(row) for row in z.tolist()]) for z in pair]
    assert terms["loss"].item() == pytest.approx(9 * oracle(*pair, 2.0), rel=1e-4)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [("weight", -1.0, "0 or more"), ("weight", math.nan, "0 or more"), ("temperature", 0.0, "above 0")],
)
def test_bad_settings(setting, value, said):
    with pytest.raises(CrcdError, match=rf"kd\.{setting} is {value}: give .* {said}"):
        KDConfig(**{setting: value})
