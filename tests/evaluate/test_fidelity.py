import math

import numpy as np
import pytest
import torch

from crcd.evaluate.fidelity import agreement, correlation_difference, kl_divergence, linear_cka


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_agreement_in_percent():
    student = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 2.0]])
    assert agreement(student, student.roll(1, 0)) == pytest.approx(100 / 3)
    assert agreement(student, 2 * student) == 100.0


def slow_kl(student, teacher):
    total = 0.0
    for s, t in zip(student.double().tolist(), teacher.double().tolist(), strict=True):
        q, p = ([math.exp(z) / sum(map(math.exp, row)) for z in row] for row in (s, t))
        total += sum(p_c * (math.log(p_c) - math.log(q_c)) for p_c, q_c in zip(p, q, strict=True))
    return total / len(student)


def test_kl_as_class_by_class():
    student, teacher = 3 * draw(50, 6), 3 * draw(50, 6, seed=1)
    assert kl_divergence(student, teacher) == pytest.approx(slow_kl(student, teacher), rel=1e-12)
    assert kl_divergence(student, teacher) != pytest.approx(kl_divergence(teacher, student), rel=1e-2)


def test_kl_takes_no_notice_of_a_shift_of_all_logits_and_stands_great_ones():
    teacher = draw(20, 5)
    assert kl_divergence(teacher + 4, teacher) == pytest.approx(0, abs=1e-12)
    student = torch.tensor([[1000.0, 0.0]])
    assert kl_divergence(student, -student) == pytest.approx(1000)


def slow_correlations(logits):
    """numpy's, those of constant classes 0."""
    x = logits.double().numpy()
    varied = x.std(0) > 0
    r = np.zeros((x.shape[1],) * 2)
    r[np.ix_(varied, varied)] = np.corrcoef(x[:, varied], rowvar=False)
    return r


def test_correlation_difference_as_numpy():
    student, teacher = draw(40, 5) @ draw(5, 5, seed=2) + 7, draw(40, 5, seed=1)
    expected = np.abs(slow_correlations(student) - slow_correlations(teacher)).mean()
    assert correlation_difference(student, teacher) == pytest.approx(expected, rel=1e-12)
    assert correlation_difference(-3 * teacher + 1, teacher) == pytest.approx(0, abs=1e-6)


def test_a_class_whose_logit_never_changes_is_correlated_with_none():
    student, teacher = draw(40, 4), draw(40, 4, seed=1)
    student[:, 2] = 0.1
    expected = np.abs(slow_correlations(student) - slow_correlations(teacher)).mean()
    assert correlation_difference(student, teacher) == pytest.approx(expected, rel=1e-12)
    assert correlation_difference(student, student) == 0.0


def test_the_most_that_correlations_can_differ():
    line = torch.arange(5.0)[:, None]
    against, along = torch.cat([line, -line], 1), torch.cat([line, line], 1)
    assert correlation_difference(against, along) == pytest.approx(1.0)  # 2 off the diagonal, 0 on it


def slow_cka(x, y):
    """From kernel matrices of N x N, as the paper defines it: HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))."""
    n = len(x)
    centring = np.eye(n) - np.ones((n, n)) / n
    k, m = (centring @ (z.double().numpy() @ z.double().numpy().T) @ centring for z in (x, y))
    return np.trace(k @ m) / math.sqrt(np.trace(k @ k) * np.trace(m @ m))


@pytest.mark.parametrize(("n", "widths"), [(30, (4, 9)), (30, (5, 5)), (6, (20, 3))])
def test_cka_as_from_kernel_matrices(n, widths):
    shared = draw(n, 4)
    x, y = (shared @ draw(4, width, seed=width) + draw(n, width, seed=9) + 50 for width in widths)
    assert linear_cka(x, y) == pytest.approx(slow_cka(x, y), rel=1e-9)
    assert linear_cka(x, y) == pytest.approx(linear_cka(y, x), rel=1e-9)


def test_cka_takes_no_notice_of_shift_rotation_and_scale_but_of_other_maps():
    x = draw(30, 4).double()
    rotation = torch.linalg.qr(draw(4, 4, seed=3).double()).Q
    assert linear_cka(3 * x @ rotation - 1, x) == pytest.approx(1)
    assert linear_cka(x * torch.tensor([1, 1, 1, 9]), x) < 0.9


def test_features_that_never_change_are_like_none():
    x, constant = draw(30, 4), torch.full((30, 3), 0.1)
    assert linear_cka(constant, x) == linear_cka(x, constant) == linear_cka(x[:1], x[:1]) == 0.0


def test_one_image():
    student, teacher = draw(1, 4), draw(1, 4, seed=1)
    assert correlation_difference(student, teacher) == 0.0
    assert kl_divergence(student, teacher) == pytest.approx(slow_kl(student, teacher), rel=1e-12)
