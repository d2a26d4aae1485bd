from dataclasses import replace
from itertools import combinations

import pytest
import torch
from torch.nn import functional as F

from crcd.report.networks import TEACHER
from crcd.report.relations import (
    choose_anchors,
    cosine_counts,
    evenly,
    likeness,
    relation_matrix,
)


def test_anchors_are_three_of_each_class_and_of_at_most_ten():
    labels = torch.tensor([2, 0, 2, 1, 0, 0, 0, 2])
    assert choose_anchors(labels).tolist() == [1, 4, 5, 3, 0, 2, 7]
    many = torch.arange(100).repeat(3)
    chosen = many[choose_anchors(many)]
    assert (len(chosen), len(chosen.unique())) == (30, 10)
    assert {0, 99} <= set(chosen.tolist())


@pytest.mark.parametrize("element", ["feature", "gradient"])
def test_a_matrix_is_of_cosines_of_the_elements(source, element):
    reading = source.readings.networks["kd"]
    index = torch.tensor([3, 77, 12])
    x = reading.feature_ND - reading.feature_ND.mean(dim=0) if element == "feature" else reading.gradient_ND
    expected = torch.tensor([[F.cosine_similarity(x[i], x[j], dim=0) for j in index] for i in index])
    torch.testing.assert_close(relation_matrix(reading, element, index), expected)


def test_a_shift_of_all_features_changes_no_relation(source):
    reading = source.readings.networks["kd"]
    moved = replace(reading, feature_ND=reading.feature_ND + torch.linspace(-1, 1, reading.feature_ND.shape[1]))
    index = torch.arange(9)
    torch.testing.assert_close(
        relation_matrix(moved, "feature", index), relation_matrix(reading, "feature", index), atol=1e-4, rtol=1e-4
    )


def test_likeness_is_the_correlation_over_pairs():
    torch.manual_seed(0)
    one, other = torch.randn(2, 5, 5)
    pairs = [(float(one[i, j]), float(other[i, j])) for i, j in combinations(range(5), 2)]
    assert likeness(one, other) == pytest.approx(float(torch.corrcoef(torch.tensor(pairs).T)[0, 1]), abs=1e-6)
    assert likeness(one, one) == pytest.approx(1)
    assert likeness(torch.ones(5, 5), one) == 0


def test_shares_of_cosines_against_a_count_of_all_pairs(source):
    reading, labels = source.readings.networks[TEACHER], source.readings.labels
    found = cosine_counts(reading, "gradient", labels)
    index = evenly(len(labels), 300)
    matrix = relation_matrix(reading, "gradient", index)
    counts = {"one class": torch.zeros(40), "two classes": torch.zeros(40)}
    for i, j in combinations(range(len(index)), 2):
        place = min(int((float(matrix[i, j].clamp(-1, 1)) + 1) / 2 * 40), 39)
        counts["one class" if labels[index[i]] == labels[index[j]] else "two classes"][place] += 1
    for kind, count in counts.items():
        assert float(found[kind].sum()) == pytest.approx(100, abs=1e-3)
        assert float((found[kind] - 100 * count / count.sum()).abs().max()) < 0.05  # a cosine on an edge may round


def test_evenly():
    assert evenly(3, 5).tolist() == [0, 1, 2]
    assert evenly(101, 3).tolist() == [0, 50, 100]
