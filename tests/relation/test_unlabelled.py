"""Samples of unknown class in the relations: of features with all others, of gradients not at all."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from crcd.relation import CRCDLoss, Mixture, RelationConfig, View
from crcd.relation.bank import Bank
from crcd.relation.queue import Queue
from crcd.relation.source import Elements, InBatch

LABELS = torch.tensor([0, 1, -1, 0, 1, 2, -1, 2, 0, -1, 1, 2])
N = len(LABELS)


def elements(index: torch.Tensor, usable: torch.Tensor | None = None) -> Elements:
    g = torch.Generator().manual_seed(0)
    s, t = (F.normalize(torch.randn(len(index), 4, generator=g), dim=1) for _ in range(2))
    usable = torch.ones(len(index), dtype=torch.bool) if usable is None else usable
    return Elements(s, t, LABELS[index], index, usable)


@pytest.mark.parametrize(("exact", "shared", "unlabelled"), list(itertools.product([True, False], repeat=3)))
def test_an_unknown_class_is_nobodys_own(exact, shared, unlabelled):
    torch.manual_seed(0)
    bank = Bank(LABELS, (4, 4), 5, exact=exact, shared=shared, momentum=0.5, unit=True, unlabelled=unlabelled)
    batch = elements(torch.arange(N))
    seen: list[set[int]] = [set() for _ in range(N)]
    for _ in range(100):
        drawn = bank.draw(batch).teacher
        for i in range(N):
            rows = drawn.sample if drawn.index_BK is None else drawn.index_BK[i]
            rows = rows if drawn.excluded_BK is None else rows[~drawn.excluded_BK[i]]
            seen[i] |= set(rows.tolist())
    for i in range(N):
        own = LABELS[i] == LABELS if exact and LABELS[i] >= 0 else torch.arange(N) == i
        wanted = ~own if unlabelled else ~own & (LABELS >= 0)
        assert seen[i] == set(wanted.nonzero()[:, 0].tolist()), i


@pytest.mark.parametrize(("unlabelled", "most"), [(True, 9), (False, 6)])
def test_as_many_negatives_as_every_sample_has(unlabelled, most):
    build = {"exact": True, "shared": False, "momentum": 0.5, "unit": True, "unlabelled": unlabelled}
    counts = [Bank(LABELS, (4, 4), count, **build).count for count in (most - 1, most, most + 1)]
    assert counts == [most - 1, most, most]


@pytest.mark.parametrize("source", ["queue", "batch"])
def test_unlabelled_samples_of_queue_and_batch_are_negatives(source):
    usable = torch.arange(N) != 9
    batch = elements(torch.arange(N), usable)
    kind = Queue((4, 4), N, exact=True) if source == "queue" else InBatch(exact=True)
    kind.update(batch)
    excluded = kind.draw(batch).teacher.excluded_BK
    for i in range(N):
        own = LABELS[i] == LABELS if LABELS[i] >= 0 else torch.arange(N) == i
        assert excluded[i].tolist() == (own | ~usable).tolist()


def views(count: int, head: type[nn.Module] = nn.Linear):
    torch.manual_seed(0)
    student_head, teacher_head = head(6, 3), nn.Linear(9, 3)
    f_s, f_t = torch.randn(count, 6, requires_grad=True), torch.randn(count, 9)
    return View(student_head(f_s), f_s, student_head), View(teacher_head(f_t).detach(), f_t, teacher_head)


class Curved(nn.Linear):
    def forward(self, x):
        return super().forward(x.tanh())


@pytest.mark.parametrize("head", [nn.Linear, Curved])
@pytest.mark.parametrize("source", ["bank", "queue", "batch"])
@pytest.mark.parametrize("element", ["feature", "gradient"])
def test_features_are_related_and_gradients_are_not(element, source, head):
    weights = {"feature_weight": float(element == "feature"), "gradient_weight": float(element == "gradient")}
    criterion = CRCDLoss(6, 9, RelationConfig(negatives=5, dim=8, source=source, **weights), labels=LABELS)
    index = torch.arange(N)
    student, teacher = views(N, head)
    criterion(student, teacher, LABELS, index)
    student, teacher = views(N, head)
    terms = criterion(student, teacher, LABELS, index)
    terms.loss.backward()
    assert terms.loss.isfinite()
    learns = student.feature.grad.abs().sum(1) > 0
    assert learns.tolist() == [True] * N if element == "feature" else learns.tolist() == (LABELS >= 0).tolist()
    if source == "bank":
        seen = (criterion.feature or criterion.gradient).source.seen_N
        assert seen.tolist() == [True] * N if element == "feature" else seen.tolist() == (LABELS >= 0).tolist()


@pytest.mark.parametrize("objective", ["infonce", "nce"])
@pytest.mark.parametrize("mixture", [None, Mixture(torch.full((3,), 0.5), torch.tensor([2, 0, 1]))])
def test_a_batch_without_labels_has_no_relation_of_gradients(objective, mixture):
    config = RelationConfig(negatives=5, dim=8, gradient_weight=1.0, objective=objective)
    criterion = CRCDLoss(6, 9, config, labels=LABELS)
    criterion(*views(N), LABELS, torch.arange(N))
    index = (LABELS < 0).nonzero()[:, 0]
    student, teacher = views(3)
    terms = criterion(student, teacher, LABELS[index], index, mixture)
    assert terms.gradient == terms.gradient_mi_bound == 0
    assert terms.feature > 0
    terms.loss.backward()
    assert student.feature.grad.isfinite().all()
    assert student.classifier.weight.grad is None or not student.classifier.weight.grad.any()


def test_an_image_that_is_partly_unlabelled_has_no_gradient():
    config = RelationConfig(negatives=5, dim=8, feature_weight=0, gradient_weight=1.0, source="batch")
    criterion = CRCDLoss(6, 9, config)
    share = torch.ones(N)
    share[3], share[4] = 0.5, 0.5
    partner = torch.arange(N)
    partner[3], partner[4] = 2, 5
    student, teacher = views(N)
    criterion(student, teacher, LABELS, None, Mixture(share, partner)).loss.backward()
    learns = student.feature.grad.abs().sum(1) > 0
    assert not learns[3]
    assert learns[4]
