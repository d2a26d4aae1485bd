import pytest
import torch

from crcd.report.outcomes import AGREEMENT, agreement_counts, changed_images, class_scores, confusion_changes

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
BASELINE = torch.tensor([0, 1, 1, 1, 0, 2, 0, 2])
STUDENT = torch.tensor([0, 0, 1, 1, 1, 2, 1, 0])
TEACHER = torch.tensor([0, 0, 1, 1, 2, 2, 0, 2])


def test_classes():
    scores = class_scores(STUDENT == LABELS, BASELINE == LABELS, LABELS)
    assert {c: (own.images, own.right, own.baseline_right) for c, own in scores.items()} == {
        **{0: (3, 2, 1), 1: (2, 2, 1), 2: (3, 1, 2)}
    }
    assert scores[0].gain == pytest.approx(100 / 3)
    assert scores[2].gain == pytest.approx(-100 / 3)


def test_confusions_that_went_and_came():
    assert confusion_changes(STUDENT, BASELINE, LABELS) == {(0, 1): (2, 1), (1, 0): (1, 0), (2, 1): (0, 1)}


def test_agreement_has_each_image_in_one_case():
    counts = agreement_counts(STUDENT, TEACHER, LABELS)
    assert counts == dict(zip(AGREEMENT, (4, 1, 1, 1, 1), strict=True))
    assert sum(counts.values()) == len(LABELS)


def test_images_that_changed_sides_are_of_each_class_in_turn():
    labels = torch.tensor([5, 5, 5, 7, 7, 9])
    right = torch.ones(6, dtype=torch.bool)
    mended, lost = changed_images(right, ~right, labels, 4)
    assert mended.tolist() == [0, 3, 5, 1]
    assert lost.tolist() == []
    assert changed_images(~right, right, labels, 9)[1].tolist() == [0, 3, 5, 1, 4, 2]
