"""Cross-entropy where labels are."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from crcd.data import Batch
from crcd.relation import Mixture
from crcd.train.supervision import supervised_loss

B, C = 6, 4
TARGET = torch.tensor([0, -1, 2, -1, 3, 1])


def batch(target=TARGET, mixture=None) -> Batch:
    labelled = target >= 0
    if mixture is not None:
        labelled = labelled & labelled[mixture.partner_B]
    return Batch(torch.zeros(len(target), 1, 1, 1), target, torch.arange(len(target)), None, mixture, labelled)


def logits() -> torch.Tensor:
    return torch.randn(B, C, generator=torch.Generator().manual_seed(0)).requires_grad_()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_mean_is_over_the_labelled_images(smoothing):
    z, known = logits(), TARGET >= 0
    loss = supervised_loss(z, batch(), smoothing)
    expected = cross_entropy(z[known], TARGET[known], label_smoothing=smoothing)
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, z)
    assert (gradient.abs().sum(1) > 0).tolist() == known.tolist()


@pytest.mark.parametrize("mixture", [None, Mixture(torch.full((B,), 0.6), torch.arange(B).roll(1))])
def test_without_any_label_the_loss_is_zero(mixture):
    z = logits()
    loss = supervised_loss(z, batch(torch.full((B,), -1), mixture), 0.1)
    loss.backward()
    assert loss == 0
    assert not z.grad.any()


@pytest.mark.parametrize("mixed", [False, True])
def test_weights_of_classes(mixed):
    """The sum over a batch is that of its images, whatever classes are in it."""
    weight, z = torch.tensor([0.5, 2.0, 1.0, 4.0]), logits()
    target, partner = torch.tensor([0, 1, 2, 3, 3, 1]), torch.arange(B).roll(1)
    own, other = (weight[y] * cross_entropy(z, y, reduction="none") for y in (target, target[partner]))
    mixture = Mixture(torch.full((B,), 0.7), partner) if mixed else None
    expected = (0.7 * own + 0.3 * other).mean() if mixed else own.mean()
    whole = Batch(torch.zeros(B, 1, 1, 1), target, torch.arange(B), None, mixture)
    torch.testing.assert_close(supervised_loss(z, whole, 0.0, weight), expected)
    torch.testing.assert_close(supervised_loss(z, batch(target, mixture), 0.0, weight), expected)
    if not mixed:
        known = TARGET >= 0
        expected = (weight[TARGET[known]] * cross_entropy(z[known], TARGET[known], reduction="none")).mean()
        torch.testing.assert_close(supervised_loss(z, batch(), 0.0, weight), expected)


def test_an_image_that_is_partly_unlabelled_counts_as_unlabelled():
    mixture = Mixture(torch.tensor([1.0, 1, 0.5, 1, 0.5, 0.25]), torch.tensor([0, 1, 1, 3, 3, 4]))
    z = logits()
    loss = supervised_loss(z, batch(mixture=mixture), 0.0)
    own, other = cross_entropy(z[5:], TARGET[5:]), cross_entropy(z[5:], TARGET[4:5])
    first = cross_entropy(z[:1], TARGET[:1])
    torch.testing.assert_close(loss, (first + 0.25 * own + 0.75 * other) / 2)
