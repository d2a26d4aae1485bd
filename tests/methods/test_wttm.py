"""Weighted transformed teacher matching."""

import math

import pytest
import torch

from crcd.errors import CrcdError
from crcd.methods.wttm import WTTM, WTTMConfig, wttm_loss
from logit_views import TARGET, check_gradients, logits, student_view, teacher_view


def softmax(row):
    powers = [math.exp(z) for z in row]
    return [power / sum(powers) for power in powers]


def oracle(student, teacher, exponent):
    total = 0.0
    for row_s, row_t in zip(student.tolist(), teacher.tolist(), strict=True):
        p_s = softmax(row_s)
        powers = [p**exponent for p in softmax(row_t)]
        u = sum(powers)
        total += u * sum(power / u * math.log(power / u / q) for power, q in zip(powers, p_s, strict=True))
    return total / len(student)


@pytest.mark.parametrize("exponent", [0.1, 0.5, 1.0, 2.0])
def test_equals_the_formula(exponent):
    expected = oracle(logits(1), logits(2), exponent)
    assert wttm_loss(logits(1), logits(2), exponent).item() == pytest.approx(expected, rel=1e-12)


def test_gradient():
    assert torch.autograd.gradcheck(lambda z: wttm_loss(z, logits(2), 0.3), logits(1).requires_grad_())


def test_is_zero_for_the_softened_teacher_alone():
    teacher = logits(2)
    assert wttm_loss(0.25 * teacher + 7, teacher, 0.25).item() == pytest.approx(0, abs=1e-12)
    assert wttm_loss(teacher, teacher, 0.25) > 0.1


def test_an_unsure_teacher_weighs_c_to_the_1_minus_gamma_times_its_divergence():
    student, unsure = logits(1), torch.zeros(6, 4, dtype=torch.float64)
    divergence = (0.25 * (math.log(0.25) - student.log_softmax(dim=1))).sum(dim=1).mean()
    torch.testing.assert_close(wttm_loss(student, unsure, 0.5), 4**0.5 * divergence)


def test_sure_networks_have_finite_gradients():
    student = (100 * logits(1).float()).requires_grad_()
    wttm_loss(student, 100 * logits(2).float(), 0.5).backward()
    assert student.grad.isfinite().all()


def test_trains_the_student():
    terms = check_gradients(WTTM.build(WTTMConfig(3.0, 0.4), student_view(), teacher_view(), TARGET), "wttm")
    z_s, z_t = (view.logits.detach().double() for view in (student_view(), teacher_view()))
    assert terms["loss"].item() == pytest.approx(3 * oracle(z_s, z_t, 0.4), rel=1e-4)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [("weight", -1.0, "0 or more"), ("weight", math.nan, "0 or more"), ("exponent", 0.0, "above 0")],
)
def test_bad_settings(setting, value, said):
    with pytest.raises(CrcdError, match=rf"wttm\.{setting} is {value}: give .* {said}"):
        WTTMConfig(**{setting: value})
