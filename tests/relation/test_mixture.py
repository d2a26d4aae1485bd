"""Mixed images in the relations: their labels, their negatives, and what is remembered of them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from crcd.relation import CRCDLoss, Mixture, RelationConfig, View, feature_gradient, feature_gradient_autograd
from crcd.relation.bank import Bank
from crcd.relation.queue import Queue
from crcd.relation.source import Elements, InBatch

N, LABELS = 60, torch.arange(60) % 5
B = 6
TARGET = torch.tensor([0, 1, 2, 3, 4, 0])
MIXTURE = Mixture(torch.tensor([0.7, 1.0, 0.25, 1.0, 1.0, 0.5]), torch.tensor([5, 1, 1, 3, 4, 4]))


def test_soft_labels():
    soft = MIXTURE.soft_labels(TARGET, 5)
    torch.testing.assert_close(soft[2], torch.tensor([0.0, 0.75, 0.25, 0, 0]))
    assert torch.equal(soft[0], torch.tensor([1.0, 0, 0, 0, 0]))  # both of class 0
    torch.testing.assert_close(soft.sum(1), torch.ones(B))


def soft_labels(count: int, classes: int) -> torch.Tensor:
    soft = torch.rand(count, classes, dtype=torch.float64)
    return soft / soft.sum(1, keepdim=True)


def test_closed_form_with_soft_labels_is_autograd_to_second_order():
    torch.manual_seed(0)
    head, soft = nn.Linear(6, 4).double(), soft_labels(8, 4)
    feature = torch.randn(8, 6, dtype=torch.float64, requires_grad=True)
    closed = feature_gradient(head(feature), soft, head.weight)
    loss = F.cross_entropy(head(feature), soft, reduction="sum")
    (reference,) = torch.autograd.grad(loss, feature, create_graph=True)
    torch.testing.assert_close(closed, reference, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(closed, (F.softmax(head(feature), 1) - soft) @ head.weight, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(closed, feature_gradient_autograd(feature, soft, head), rtol=1e-5, atol=1e-6)
    seconds = [torch.autograd.grad(g.square().sum(), [feature, head.weight]) for g in (closed, reference)]
    torch.testing.assert_close(*seconds, rtol=1e-8, atol=1e-10)


def test_one_class_written_as_a_soft_label_is_that_class():
    torch.manual_seed(0)
    logits, weight, target = 20 * torch.randn(50, 5), torch.randn(5, 6), torch.arange(50) % 5
    logits[:25] += 40 * F.one_hot(target[:25], 5)
    hard, soft = (feature_gradient(logits, y, weight) for y in (target, F.one_hot(target, 5).float()))
    torch.testing.assert_close(F.normalize(soft, dim=1, eps=1e-38), F.normalize(hard, dim=1, eps=1e-38))


def elements(index: torch.Tensor) -> Elements:
    g = torch.Generator().manual_seed(0)
    s, t = (F.normalize(torch.randn(len(index), 4, generator=g), dim=1) for _ in range(2))
    return Elements(s, t, LABELS[index], index, ~MIXTURE.is_mixed, MIXTURE.partner_B)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_negatives_in_a_bank_are_of_neither_sample(exact, shared):
    torch.manual_seed(0)
    batch = elements(torch.tensor([0, 6, 12, 18, 24, 30]))
    bank = Bank(LABELS, (4, 4), 20, exact=exact, shared=shared, momentum=0.5, unit=True)
    names = LABELS if exact else torch.arange(N)
    seen = [set() for _ in range(B)]
    for _ in range(40):
        drawn = bank.draw(batch).teacher
        for i in range(B):
            rows = drawn.sample if drawn.index_BK is None else drawn.index_BK[i]
            rows = rows if drawn.excluded_BK is None else rows[~drawn.excluded_BK[i]]
            seen[i] |= set(names[rows].tolist())
    for i, partner in enumerate(MIXTURE.partner_B.tolist()):
        own = {int(names[batch.index_B[j]]) for j in (i, partner)}
        assert seen[i] == set(names.tolist()) - own


@pytest.mark.parametrize("source", ["queue", "batch"])
def test_negatives_elsewhere_are_of_neither_sample_and_not_mixed(source):
    batch = elements(torch.tensor([0, 6, 12, 18, 24, 30]))
    kind = Queue((4, 4), 6, exact=True) if source == "queue" else InBatch(exact=True)
    kind.update(batch)
    usable = ~kind.draw(batch).student.excluded_BK
    for i, partner in enumerate(MIXTURE.partner_B.tolist()):
        own = {int(batch.target_B[i]), int(batch.target_B[partner])}
        wanted = [not MIXTURE.is_mixed[k] and int(batch.target_B[k]) not in own for k in range(B)]
        assert usable[i].tolist() == wanted


def views(count=B):
    torch.manual_seed(0)
    student_head, teacher_head = nn.Linear(6, 5), nn.Linear(9, 5)
    f_s, f_t = torch.randn(count, 6, requires_grad=True), torch.randn(count, 9)
    return View(student_head(f_s), f_s, student_head), View(teacher_head(f_t).detach(), f_t, teacher_head)


@pytest.mark.parametrize("positive", ["current", "bank"])
def test_mixed_images_learn_but_are_not_remembered(positive):
    config = RelationConfig(negatives=20, dim=8, source="bank", positive_source=positive, gradient_weight=1.0)
    criterion = CRCDLoss(6, 9, config, labels=LABELS)
    index = torch.tensor([0, 6, 12, 18, 24, 30])
    banks = [element.source for element in (criterion.feature, criterion.gradient)]
    criterion(*views(N), LABELS, torch.arange(N))
    before = [bank.teacher_ND.clone() for bank in banks]
    student, teacher = views()
    terms = criterion(student, teacher, LABELS[index], index, MIXTURE)
    terms.loss.backward()
    learns = student.feature.grad.abs().sum(1) > 0
    assert learns.tolist() == [True] * B if positive == "current" else learns.tolist() == (~MIXTURE.is_mixed).tolist()
    for bank, old in zip(banks, before, strict=True):
        changed = (bank.teacher_ND != old).any(dim=1)
        assert changed.nonzero()[:, 0].tolist() == index[~MIXTURE.is_mixed].tolist()


def test_nothing_mixed_is_as_without_mixture():
    index = torch.tensor([0, 6, 12, 18, 24, 30])
    found = []
    for mixture in (None, Mixture(torch.ones(B), torch.arange(B))):
        torch.manual_seed(0)
        criterion = CRCDLoss(6, 9, RelationConfig(negatives=20, dim=8), labels=LABELS)
        criterion(*views(N), LABELS, torch.arange(N))
        student, teacher = views()
        found.append(criterion(student, teacher, LABELS[index], index, mixture).loss)
    assert found[0] > 1
    torch.testing.assert_close(*found)
