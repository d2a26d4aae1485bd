"""Which images a student has right, and which wrong, beside another network."""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ClassScore:
    """One class.

    Attributes:
        images: test images of it.
        right: how many a network has right.
        baseline_right: how many the baseline has right.
    """

    images: int
    right: int
    baseline_right: int

    @property
    def gain(self) -> float:
        """Difference of the two accuracies, points."""
        return 100 * (self.right - self.baseline_right) / self.images


def class_scores(right_N: Tensor, baseline_right_N: Tensor, labels_N: Tensor) -> dict[int, ClassScore]:
    """The score of each class that has test images, by its number."""
    return {
        c: ClassScore(int(own.sum()), int(right_N[own].sum()), int(baseline_right_N[own].sum()))
        for c in labels_N.unique().tolist()
        if (own := labels_N == c) is not None
    }


def confusion_changes(
    answer_N: Tensor, baseline_answer_N: Tensor, labels_N: Tensor
) -> dict[tuple[int, int], tuple[int, int]]:
    """Errors of two networks by (class, wrong answer): (the baseline's, the other's), where these numbers differ."""
    before, after = (
        Counter(zip(labels_N[wrong].tolist(), answer[wrong].tolist(), strict=True))
        for answer in (baseline_answer_N, answer_N)
        if (wrong := answer != labels_N) is not None
    )
    pairs = sorted(before.keys() | after.keys())
    return {pair: (before[pair], after[pair]) for pair in pairs if before[pair] != after[pair]}


AGREEMENT = (
    "both right",
    "same mistake",
    "both wrong, differently",
    "only the student right",
    "only the teacher right",
)
"""How student and teacher may answer; in the first two they agree."""


def agreement_counts(student_N: Tensor, teacher_N: Tensor, labels_N: Tensor) -> dict[str, int]:
    """Images in each case of ``AGREEMENT``."""
    s, t = student_N == labels_N, teacher_N == labels_N
    same = student_N == teacher_N
    cases = (s & t, same & ~s, ~same & ~s & ~t, s & ~t, ~s & t)
    return dict(zip(AGREEMENT, (int(case.sum()) for case in cases), strict=True))


def changed_images(right_N: Tensor, baseline_right_N: Tensor, labels_N: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Images that the one network alone has right, and that the baseline alone has: of each class in turn."""
    return (
        in_turn((right_N & ~baseline_right_N).nonzero()[:, 0], labels_N, most),
        in_turn((baseline_right_N & ~right_N).nonzero()[:, 0], labels_N, most),
    )


def in_turn(index: Tensor, labels_N: Tensor, most: int) -> Tensor:
    """At most so many of the numbers: the first of each class, then the second of each, and so on."""
    seen: Counter[int] = Counter()
    turns = []
    for label in labels_N[index].tolist():
        turns.append(seen[label])
        seen[label] += 1
    return index[torch.tensor(turns, dtype=torch.int64).argsort(stable=True)[:most]]
