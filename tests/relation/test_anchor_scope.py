"""Each process relates its own share of a batch."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from crcd import CRCDLoss, RelationConfig, distributed
from crcd.errors import CrcdError
from crcd.relation.view import View
from together import together

CONFIG = RelationConfig(
    source="batch", exclude="relax", dim=4, gradient_weight=0.0, anchor_scope="local", sample_share=0.0, temperature=0.2
)
BATCH = 8


def material(config=CONFIG):
    torch.manual_seed(0)
    student_BE, teacher_BE = torch.randn(BATCH, 5), torch.randn(BATCH, 6)
    torch.manual_seed(1)
    return student_BE, teacher_BE, CRCDLoss(5, 6, config).double()


def local_loss(config=CONFIG):
    """Loss, bound, and gradients of this process's student features and of the heads, averaged as a learner does."""
    student_BE, teacher_BE, criterion = material(config)
    own = distributed.share(student_BE.double()).requires_grad_()
    whole = distributed.gather(own, BATCH)
    logits = torch.zeros(BATCH, 2, dtype=torch.double)
    views = (View(logits, feature, nn.Identity()) for feature in (whole, teacher_BE.double()))
    terms = criterion(*views, torch.zeros(BATCH, dtype=torch.long), torch.arange(BATCH))
    terms.loss.backward()
    heads = [parameter.grad for parameter in criterion.parameters()]
    distributed.average(heads)
    return terms.loss.detach(), terms.mi_bound, own.grad / distributed.size(), heads


def expected(shares: int):
    """Pair by pair: the mean over shares of the mean over their pairs of anchor and sample."""
    student_BE, teacher_BE, criterion = material()
    student_BE = student_BE.double().requires_grad_()
    s_BD = criterion.feature.student_head(student_BE)
    t_BD = criterion.feature.teacher_head(teacher_BE.double())
    losses, bounds = [], []
    for share in torch.arange(BATCH).chunk(shares):
        pairs = [(i, j) for i in share for j in share if i != j]
        student = [pair_loss(s_BD, t_BD.detach(), i, j) for i, j in pairs]
        mirrored = [pair_loss(t_BD, s_BD.detach(), i, j) for i, j in pairs]
        losses.append(torch.stack(student).mean() + torch.stack(mirrored).mean())
        bounds.append(torch.log(torch.tensor(BATCH - 1.0)) - torch.stack(student).mean().detach())
    loss = torch.stack(losses).mean()
    loss.backward()
    return loss.detach(), torch.stack(bounds).mean(), student_BE.grad, [p.grad for p in criterion.parameters()]


def pair_loss(query_BD, key_BD, i, j):
    """InfoNCE of r(key_j, query_i) with r(key_j, key_i) against r(key_j, key_k) for all k but i and j."""
    keys = [i, *(k for k in range(BATCH) if k not in (i, j))]
    relation = query_BD[i] - key_BD[j]
    cosines = torch.stack([F.cosine_similarity(relation, key_BD[k] - key_BD[j], dim=0) for k in keys])
    return -F.log_softmax(cosines / CONFIG.temperature, dim=0)[0]


@pytest.mark.parametrize("size", [2, 4])
def test_pairs_are_those_within_shares_and_negatives_are_of_the_whole_batch(size):
    answers = together(size, local_loss)
    loss, bound, gradient_BE, heads = expected(size)
    torch.testing.assert_close(torch.cat([own for _, _, own, _ in answers]), gradient_BE, rtol=1e-6, atol=1e-6)
    for own_loss, own_bound, _, own_heads in answers:
        torch.testing.assert_close((own_loss, own_heads), (loss, heads), rtol=1e-6, atol=1e-6, check_dtype=False)
        torch.testing.assert_close(own_bound, bound, rtol=1e-6, atol=1e-6, check_dtype=False)
    assert all(torch.equal(own_loss, answers[0][0]) for own_loss, *_ in answers)


def test_samples_of_all_shares_are_those_of_the_batch():
    config = replace(CONFIG, sample_share=1.0)
    loss, bound, gradient_BE, heads = local_loss(config)
    answers = together(2, partial(local_loss, config))
    torch.testing.assert_close(torch.cat([own for _, _, own, _ in answers]), gradient_BE, rtol=1e-6, atol=1e-6)
    for own_loss, own_bound, _, own_heads in answers:
        torch.testing.assert_close((own_loss, own_bound, own_heads), (loss, bound, heads), rtol=1e-6, atol=1e-6)


def test_one_process_has_all_of_the_batch():
    loss, bound, gradient_BE, heads = local_loss()
    student_BE, teacher_BE, _ = material()
    torch.manual_seed(1)
    gathered = CRCDLoss(5, 6, replace(CONFIG, anchor_scope="gathered")).double()
    feature_BE = student_BE.double().requires_grad_()
    views = (View(torch.zeros(BATCH, 2), feature, nn.Identity()) for feature in (feature_BE, teacher_BE.double()))
    terms = gathered(*views, torch.zeros(BATCH, dtype=torch.long), torch.arange(BATCH))
    terms.loss.backward()
    assert (terms.loss.item(), terms.mi_bound.item()) == (loss.item(), bound.item())
    assert torch.equal(feature_BE.grad, gradient_BE)
    assert all(torch.equal(p.grad, head) for p, head in zip(gathered.parameters(), heads, strict=True))


def uneven():
    with pytest.raises(CrcdError, match="a batch of 7 can't be divided among 2 processes"):
        distributed.own_rows(7)


def test_a_batch_that_cannot_be_divided():
    together(2, uneven)
