"""LumiNet."""

import math

import pytest
import torch

from crcd.errors import CrcdError
from crcd.methods.combined import Combined
from crcd.methods.kd import KD, KDConfig
from crcd.methods.luminet import LumiNet, LumiNetConfig, perception
from logit_views import BATCH, TARGET, check_gradients, logits, make_batch, student_view, teacher_view


def build(**settings):
    return LumiNet.build(LumiNetConfig(**settings), student_view(), teacher_view(), TARGET.repeat(2))


def standardised_columns(rows):
    columns = []
    for column in zip(*rows, strict=True):
        mean = sum(column) / len(column)
        variance = sum((z - mean) ** 2 for z in column) / len(column)
        columns.append([(z - mean) / math.sqrt(variance + 1e-5) for z in column])
    return [list(row) for row in zip(*columns, strict=True)]


def softmax(row):
    return [math.exp(z) / sum(math.exp(other) for other in row) for z in row]


def oracle(student, teacher, temperature):
    total = 0.0
    for row_s, row_t in zip(*map(standardised_columns, (student.tolist(), teacher.tolist())), strict=True):
        p_s, p_t = softmax([z / temperature for z in row_s]), softmax([z / temperature for z in row_t])
        total += sum(t * math.log(t / s) for s, t in zip(p_s, p_t, strict=True))
    return total / len(student)


def test_perception_equals_the_formula():
    expected = standardised_columns(logits(1).tolist())
    torch.testing.assert_close(perception(logits(1)).tolist(), expected, rtol=1e-12, atol=1e-14)


def test_gradient_of_perception():
    assert torch.autograd.gradcheck(perception, logits(1).requires_grad_())


def test_classes_of_any_shift_and_scale_agree():
    scale, shift = torch.tensor([0.5, 2.0, 3.0, 1.0]), torch.tensor([-5.0, 0.0, 4.0, 1.0])
    torch.testing.assert_close(perception(logits(1) * scale + shift), perception(logits(1)), rtol=1e-4, atol=1e-4)


def test_a_class_that_does_not_vary_has_a_finite_gradient():
    student = torch.ones(BATCH, 4, requires_grad=True)
    perception(student).square().sum().backward()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("temperature", [0.7, 4.0])
def test_equals_the_formula_and_trains_the_student(temperature):
    method = build(alpha=5.0, temperature=temperature, warm_up_epochs=0)
    terms = check_gradients(method, "luminet")
    expected = 25 * oracle(student_view().logits, teacher_view().logits, temperature)
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-4)


def test_is_zero_for_the_teachers_own_logits():
    assert build()(teacher_view(), teacher_view(), make_batch())["loss"].item() == pytest.approx(0, abs=1e-4)


def test_the_weight_grows_from_the_first_epoch_on():
    method, full = build(warm_up_epochs=3), build(warm_up_epochs=0)
    loss = full(student_view(), teacher_view(), make_batch())["loss"].item()
    shares = [method(student_view(), teacher_view(), make_batch())["loss"].item() / loss for _ in range(8)]
    assert shares == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3, 1, 1, 1, 1], rel=1e-5)


def test_weighs_cross_entropy():
    assert build().ce_weight == 2
    assert build(ce_weight=0.5).ce_weight == 0.5
    assert Combined({"luminet": build(), "kd": KD(KDConfig())}).ce_weight == 2


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("alpha", -1.0, "0 or more"),
        ("alpha", math.nan, "0 or more"),
        ("ce_weight", -1.0, "0 or more"),
        ("warm_up_epochs", -1, "0 or more"),
        ("temperature", 0.0, "a temperature above 0"),
        ("temperature", math.nan, "a temperature above 0"),
    ],
)
def test_bad_settings(name, value, advice):
    with pytest.raises(CrcdError, match=rf"luminet\.{name} is {value}: give {advice}"):
        LumiNetConfig(**{name: value})
