"""Information theoretic representation distillation."""

import math
import statistics

import pytest
import torch

from crcd.errors import CrcdError
from crcd.methods.itrd import ITRD, ITRDConfig, correlation_loss, mutual_information_loss
from relational_views import LABELS, assert_trains, rows, views


def correlation_oracle(student, teacher, alpha):
    total = 0.0
    for d in range(student.shape[1]):
        s, t = student[:, d].tolist(), teacher[:, d].tolist()
        mean_s, mean_t = statistics.mean(s), statistics.mean(t)
        covariance = statistics.mean((x - mean_s) * (y - mean_t) for x, y in zip(s, t, strict=True))
        total += abs(covariance / (statistics.stdev(s) * statistics.stdev(t)) - 1) ** (2 * alpha)
    return math.log2(total)


def information_oracle(student, teacher):
    b = len(student)

    def cosine(f, i, j):
        return float(f[i] @ f[j]) / float(f[i].norm() * f[j].norm())

    pairs = [(i, j) for i in range(b) for j in range(b)]
    own = sum((cosine(student, i, j) / b) ** 2 for i, j in pairs)
    return own - sum((cosine(student, i, j) * cosine(teacher, i, j) / b) ** 2 for i, j in pairs)


@pytest.mark.parametrize("alpha", [1.01, 1.5])
def test_correlation_equals_the_formula(alpha):
    student, teacher = rows(6, 4, seed=1), rows(6, 4, seed=2)
    expected = correlation_oracle(student, teacher, alpha)
    assert correlation_loss(student, teacher, alpha).item() == pytest.approx(expected, rel=1e-12)


def test_information_equals_the_formula():
    student, teacher = rows(6, 4, seed=1), rows(6, 3, seed=2)
    expected = information_oracle(student, teacher)
    assert mutual_information_loss(student, teacher).item() == pytest.approx(expected, rel=1e-12)


def test_gradients():
    student, teacher = rows(5, 4, seed=1).requires_grad_(), rows(5, 4, seed=2)
    assert torch.autograd.gradcheck(lambda x: correlation_loss(x, teacher, 1.5), student)
    assert torch.autograd.gradcheck(lambda x: mutual_information_loss(x, teacher), student)


def test_full_correlation_is_the_least():
    """Each of D features then leaves 1 / B, whatever its mean and scale."""
    teacher = rows(6, 4, seed=1)
    least = math.log2(4 * (1 / 6) ** 3)
    assert correlation_loss(teacher * 3 + 2, teacher, 1.5).item() == pytest.approx(least, rel=1e-12)
    assert correlation_loss(rows(6, 4, seed=2), teacher, 1.5).item() > least + 1


def test_information_loss_falls_with_the_entropy_that_both_share():
    """A student whose samples are all alike has nothing to share but loses most; orthogonal samples lose nothing."""
    alike, apart = torch.ones(4, 4, dtype=torch.float64), torch.eye(4, dtype=torch.float64)
    assert mutual_information_loss(apart, apart).item() == pytest.approx(0, abs=1e-15)
    assert mutual_information_loss(alike, apart).item() == pytest.approx(0.75, rel=1e-12)


@pytest.mark.parametrize("b", [1, 5])
def test_a_constant_feature_is_uncorrelated(b):
    student, teacher = rows(b, 3, seed=1).requires_grad_(), rows(b, 3, seed=2)
    teacher[:, 1] = 0
    loss = correlation_loss(student, teacher, 1.0)
    loss.backward()
    assert 2 ** loss.item() >= 1
    assert student.grad.isfinite().all()
    assert student.grad[:, 1].abs().sum() == 0


@pytest.mark.parametrize("teacher_dim", [6, 9])
def test_trains_student_and_embedding(teacher_dim):
    torch.manual_seed(0)
    student, teacher, batch = views(teacher_dim=teacher_dim)
    method = ITRD.build(ITRDConfig(2.0, 3.0, 1.5), student, teacher, LABELS)
    embedded = method.embed(student.feature).detach()
    assert embedded.shape == teacher.feature.shape
    terms = method(student, teacher, batch)
    compared = student.feature if teacher_dim == 6 else embedded
    correlation = correlation_oracle(embedded, teacher.feature.detach(), 1.5)
    information = information_oracle(compared.detach(), teacher.feature.detach())
    assert terms["correlation"].item() == pytest.approx(correlation, rel=1e-4)
    assert terms["information"].item() == pytest.approx(information, rel=1e-4)
    assert terms["itrd"].item() == pytest.approx(2 * correlation + 3 * information, rel=1e-4)


def test_gradients_stay_with_the_student():
    torch.manual_seed(0)
    student, teacher, _ = views()
    assert_trains(ITRD.build(ITRDConfig(), student, teacher, LABELS))


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("correlation_weight", -1.0, "0 or more"),
        ("information_weight", -1.0, "0 or more"),
        ("alpha", 0.5, "more than 0.5"),
    ],
)
def test_bad_settings(name, value, advice):
    with pytest.raises(CrcdError, match=rf"itrd\.{name} is {value}: give {advice}"):
        ITRDConfig(**{name: value})
