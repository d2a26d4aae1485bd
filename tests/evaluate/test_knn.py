import math

import pytest
import torch

from crcd.evaluate import knn
from crcd.evaluate.knn import weighted_knn


def draw(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow(train, labels, test, classes, k):
    """Image by image, in Python's floats."""
    scores = []
    for x in test.double().tolist():
        similar = []
        for y, label in zip(train.double().tolist(), labels.tolist(), strict=True):
            dot = sum(a * b for a, b in zip(x, y, strict=True))
            similar.append((dot / math.hypot(*x) / math.hypot(*y), label))
        similar.sort(reverse=True)
        scores.append([sum(math.exp((cos - 1) / 0.07) for cos, of in similar[:k] if of == c) for c in range(classes)])
    return torch.tensor(scores, dtype=torch.float64)


@pytest.mark.parametrize("k", [1, 7, 200])
def test_as_image_by_image(monkeypatch, k):
    monkeypatch.setattr(knn, "CHUNK", 4)
    train, labels, test = draw(30, 5, seed=0), torch.arange(30) % 3, draw(9, 5, seed=1)
    found = weighted_knn(train, labels, test, 3, neighbours=k)
    torch.testing.assert_close(found, slow(train, labels, test, 3, k), rtol=1e-9, atol=1e-12)


def test_length_of_a_feature_means_nothing():
    train, labels, test = draw(30, 5, seed=0), torch.arange(30) % 3, draw(9, 5, seed=1)
    scaled = weighted_knn(1000 * train, labels, test / 1000, 3)
    torch.testing.assert_close(scaled, weighted_knn(train, labels, test, 3))


def test_a_feature_of_zero_is_as_near_to_all():
    scores = weighted_knn(draw(30, 5, seed=0), torch.arange(30) % 3, torch.zeros(1, 5), 3)
    torch.testing.assert_close(scores, torch.full((1, 3), 10 * math.exp(-1 / 0.07), dtype=torch.float64))
