"""Decoupled logit distillation."""

import math

import pytest
import torch

from crcd.data import Batch
from crcd.errors import CrcdError
from crcd.methods.dkd import DKD, DKDConfig, dkd_terms
from crcd.methods.kd import distillation_loss, standardised
from logit_views import TARGET, check_gradients, logits, student_view, teacher_view


def probabilities(row, temperature):
    powers = [math.exp(z / temperature) for z in row]
    return [power / sum(powers) for power in powers]


def divergence(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def oracle(student, teacher, target, temperature):
    own, others = 0.0, 0.0
    for row_s, row_t, y in zip(student.tolist(), teacher.tolist(), target.tolist(), strict=True):
        p_s, p_t = probabilities(row_s, temperature), probabilities(row_t, temperature)
        own += divergence([p_t[y], 1 - p_t[y]], [p_s[y], 1 - p_s[y]])
        q_s = [p / (1 - p_s[y]) for c, p in enumerate(p_s) if c != y]
        q_t = [p / (1 - p_t[y]) for c, p in enumerate(p_t) if c != y]
        others += divergence(q_t, q_s)
    return temperature**2 * own / len(student), temperature**2 * others / len(student)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_equals_the_formula(temperature):
    terms = dkd_terms(logits(1), logits(2), TARGET, temperature)
    assert [term.item() for term in terms] == pytest.approx(oracle(logits(1), logits(2), TARGET, temperature), rel=1e-9)


def test_gradient():
    student = logits(1).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: tuple(dkd_terms(z, logits(2), TARGET, 2.0)), student)


def test_halves_sum_to_logit_distillation():
    student, teacher, target = logits(1, 1), logits(2, 1), TARGET[1:2]
    own, others = dkd_terms(student, teacher, target, 3.0)
    p_t = (teacher / 3).softmax(dim=1)[0, target]
    torch.testing.assert_close(own + (1 - p_t[0]) * others, distillation_loss(student, teacher, 3.0))


def test_each_half_sees_only_its_own():
    teacher = logits(2)
    one_hot = torch.nn.functional.one_hot(TARGET, 4)
    own, others = dkd_terms(teacher + 2 * one_hot, teacher, TARGET, 2.0)
    assert own > 0.01
    assert others.item() == pytest.approx(0, abs=1e-12)
    assert [term.item() for term in dkd_terms(teacher, teacher, TARGET, 2.0)] == pytest.approx([0, 0], abs=1e-12)


def test_sure_networks_have_finite_gradients():
    student = (100 * logits(1).float()).requires_grad_()
    sum(dkd_terms(student, 100 * logits(2).float(), TARGET, 1.0)).backward()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("standardise", [False, True])
def test_trains_the_student(standardise):
    config = DKDConfig(alpha=0.5, beta=3.0, temperature=2.0, warm_up_epochs=0, standardise=standardise)
    terms = check_gradients(DKD.build(config, student_view(), teacher_view(), TARGET), "dkd")
    z_s, z_t = (view.logits.detach().double() for view in (student_view(), teacher_view()))
    if standardise:
        z_s, z_t = standardised(z_s), standardised(z_t)
    own, others = oracle(z_s, z_t, TARGET, 2.0)
    assert terms["tckd"].item() == pytest.approx(0.5 * own, rel=1e-4)
    assert terms["nckd"].item() == pytest.approx(3 * others, rel=1e-4)
    assert terms["loss"].item() == pytest.approx(0.5 * own + 3 * others, rel=1e-4)


def test_both_weights_grow_epoch_by_epoch():
    method = DKD.build(DKDConfig(warm_up_epochs=4), student_view(), teacher_view(), TARGET)
    batch = Batch(torch.zeros(len(TARGET), 1, 4, 4), TARGET, torch.arange(len(TARGET)))
    losses = torch.stack([method(student_view(), teacher_view(), batch)["loss"] for _ in range(6)])
    torch.testing.assert_close(losses / losses[-1], torch.tensor([0.25, 0.5, 0.75, 1, 1, 1]))


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [("alpha", -1.0, "0 or more"), ("beta", math.nan, "0 or more"), ("temperature", 0.0, "above 0")],
)
def test_bad_settings(setting, value, said):
    with pytest.raises(CrcdError, match=rf"dkd\.{setting} is {value}: give .*{said}"):
        DKDConfig(**{setting: value})
