import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from crcd.evaluate import linear
from crcd.evaluate.linear import STRENGTHS, Protocol, Standardiser, fit_logistic, fit_sgd

CLASSES = 4


@pytest.fixture(scope="module")
def blobs():
    """Features of four overlapping classes, float32, and their classes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(120) % CLASSES
    centres = torch.randn(CLASSES, 6, generator=generator)
    return centres[labels] + torch.randn(120, 6, generator=generator), labels


@pytest.mark.parametrize("l2", [1.0, 1e-2, 1e-4])
def test_logistic_regression_as_scikit_learn(blobs, l2, monkeypatch):
    feature, labels = blobs
    x = Standardiser(feature)(feature)
    oracle = LogisticRegression(C=1 / (len(x) * l2), solver="newton-cg", tol=1e-10).fit(x.numpy(), labels.numpy())
    expected = oracle.predict_proba(x.numpy())
    np.testing.assert_allclose(fit_logistic(x, labels, CLASSES, l2)(x).softmax(1), expected, atol=1e-3)
    monkeypatch.setattr(linear, "TOLERANCE", 1e-8)
    found = fit_logistic(x, labels, CLASSES, l2)
    np.testing.assert_allclose(found(x).softmax(1), expected, atol=1e-6)
    np.testing.assert_allclose(found.weight_CD, oracle.coef_, atol=1e-4)


def test_the_start_changes_nothing_but_the_way(blobs):
    feature, labels = blobs
    x = Standardiser(feature)(feature)
    start = None
    for l2 in STRENGTHS[:4]:
        start = fit_logistic(x, labels, CLASSES, l2, start)
        torch.testing.assert_close(start(x), fit_logistic(x, labels, CLASSES, l2)(x), rtol=0, atol=1e-2)


def test_a_class_without_images_is_never_named(blobs):
    feature, labels = blobs
    x = Standardiser(feature)(feature)
    assert fit_logistic(x, labels, CLASSES + 1, 1e-2)(x).argmax(1).max() < CLASSES


def test_standardised_features():
    feature = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 1e-4, 9]) + 5
    x = Standardiser(feature)(feature)
    torch.testing.assert_close(x.mean(0), torch.zeros(3).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(x.square().mean(0), torch.ones(3).double())
    assert Standardiser(feature)(feature[:1]).equal(x[:1])


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_a_dimension_that_never_varies_is_left_out(value):
    feature = torch.full((50, 1), value)
    assert Standardiser(feature)(torch.full((2, 1), value + 1)).abs().max() == 0


def slow_sgd(feature, labels, seed, epochs, milestones):
    """Nesterov's momentum and the gradient (p - onehot) x of cross-entropy written out, in float64."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((CLASSES, feature.shape[1]), (CLASSES,))
    bound = feature.shape[1] ** -0.5
    weight, bias = (torch.empty(shape).uniform_(-bound, bound, generator=generator).double() for shape in shapes)
    velocity = [torch.zeros_like(weight), torch.zeros_like(bias)]
    x, target = feature.double(), torch.nn.functional.one_hot(labels, CLASSES).double()
    for epoch in range(epochs):
        lr = 0.1 * 0.1 ** sum(epoch >= milestone for milestone in milestones)
        for index in torch.randperm(len(x), generator=generator).split(64):
            error = ((x[index] @ weight.T + bias).softmax(1) - target[index]) / len(index)
            for value, speed, gradient in zip(
                (weight, bias), velocity, (error.T @ x[index], error.sum(0)), strict=True
            ):
                speed.mul_(0.9).add_(gradient)
                value.sub_(lr * (gradient + 0.9 * speed))
    return weight, bias


def test_sgd_as_written_out(blobs):
    feature, labels = blobs
    weight, bias = slow_sgd(feature, labels, 3, 6, (2, 4))
    found = fit_sgd(feature, labels, CLASSES, 3, Protocol(epochs=6, milestones=(2, 4)))
    torch.testing.assert_close(found.weight_CD.double(), weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.bias_C.double(), bias, rtol=1e-4, atol=1e-5)


def test_sgd_depends_on_its_seed_alone(blobs):
    feature, labels = blobs
    once = fit_sgd(feature, labels, CLASSES, 0)
    torch.rand(1)
    again, other = (fit_sgd(feature, labels, CLASSES, seed) for seed in (0, 1))
    assert once.weight_CD.equal(again.weight_CD)
    assert not once.weight_CD.equal(other.weight_CD)
