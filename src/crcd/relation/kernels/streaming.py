"""The relation contrast without any tensor of size B * A * K: a few samples (or one anchor) at a time, in PyTorch.

The gradient is produced while the forward runs, so nothing of a block outlives it. The formulas stand in ``difference``
and ``pairs``. exp(cos / tau) needs no shift: tau >= 0.02 keeps it within float32, for unit rows.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from crcd.relation.kernels.difference import MASKED, Geometry, Sums
from crcd.relation.kernels.pairs import MAX_LOG_ODDS, factor, pair_terms, with_gradients
from crcd.relation.kernels.problem import Problem
from crcd.relation.negatives import Negatives
from crcd.relation.objectives import InfoNCE, Objective
from crcd.relation.relations import (
    MIN_NORM,
    MLP,
    Difference,
    key_relations,
    query_relations,
)

BLOCK = 2**19
"""Cosines at work at once, in three buffers of 2 MiB. Smaller blocks would fit a core's cache, but are slower: an
operation on two threads takes ten microseconds to start. What bounds this kernel are nine passes over such a block."""


def contrast(p: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """See ``crcd.relation.contrast.relation_contrast``; returns (sum of weight * loss, loss_BA, positive cosine_BA)."""
    return _difference(p) if isinstance(p.relation, Difference) else _mlp(p, p.relation)


def _block(objective: Objective, logit: Tensor, count: Tensor, out: Tensor, scratch: Tensor) -> tuple[Tensor, Tensor]:
    """E (into ``out``) of a block of cos / tau with keys last, and the sums of E and of the negatives' own loss."""
    if isinstance(objective, InfoNCE):
        e = torch.exp(logit, out=out)
        return e.sum(dim=-1), e.new_zeros(())
    torch.sub(logit, objective.offset(count)[..., None], out=out)
    odds = out.clamp_(max=MAX_LOG_ODDS).exp_()
    odds_plus_1 = torch.add(odds, 1, out=scratch)
    e = odds.div_(odds_plus_1)  # sigmoid
    return e.sum(dim=-1), odds_plus_1.log_().sum(dim=-1)


def _difference(p: Problem) -> tuple[Tensor, Tensor, Tensor]:
    negatives, objective, weight_BA, count_BA = p.negatives, p.objective, p.weight_BA, p.count_BA
    with torch.no_grad():
        g = Geometry.of(p.query_BD, p.positive_BD, p.anchor_AD)
        scale_BA = g.inverse_m_BA / objective.temperature
        e_BA, negative_loss_BA, turn_BA, pull_BA = (torch.zeros_like(g.positive_BA) for _ in range(4))
        push_BD = torch.zeros_like(g.s_BD)
        buffers = torch.empty(3, max(BLOCK, len(negatives)), dtype=g.s_BD.dtype, device=g.s_BD.device)
        for block in _difference_blocks(g, negatives, p.anchor_sample_A, push_BD):
            pairs, shape = (block.samples, block.anchors), (*block.s_dot_t_bK.shape[:1], *block.shift_baK.shape[1:])
            logit_baK, e_baK, scratch_baK = (buffer[: math.prod(shape)].view(shape) for buffer in buffers)
            torch.sub(block.s_dot_t_bK[:, None], g.s_dot_a_BA[pairs][..., None], out=e_baK)
            torch.addcmul(block.shift_baK, e_baK, block.inverse_n_baK, out=logit_baK).mul_(scale_BA[pairs][..., None])
            e_ba, negative_loss_BA[pairs] = _block(objective, logit_baK, count_BA[pairs], e_baK, scratch_baK)
            factor_ba = factor(objective, e_ba, g.positive_BA[pairs], weight_BA[pairs]).mul_(g.inverse_m_BA[pairs])
            e_BA[pairs] = e_ba
            turn_BA[pairs] = logit_baK.mul_(e_baK).sum(dim=-1)
            pull_BA[pairs] = e_baK.mul_(block.inverse_n_baK).sum(dim=-1)
            block.push_bK.add_((factor_ba[:, None] @ e_baK)[:, 0])
        sums = Sums(e_BA, negative_loss_BA, turn_BA, pull_BA, push_BD)
        loss_BA, gradient_BD = g.finish(sums, objective, weight_BA, count_BA)
        loss = (weight_BA * loss_BA).sum()
    return with_gradients(loss, [(p.query_BD, gradient_BD)]), loss_BA, g.positive_BA


class _DifferenceBlock(NamedTuple):
    """What a block of b samples and a anchors needs of its negatives, masked where unusable.

    Attributes:
        s_dot_t_bK: s.t_k.
        shift_baK: (|a_j|^2 - a_j.t_k) / n_jk; like ``inverse_n_baK`` one [1, a, K] for all samples when shared.
        inverse_n_baK: 1 / n_jk.
        push_bK: sum_j H, to be added to.
    """

    samples: slice
    anchors: slice
    s_dot_t_bK: Tensor
    shift_baK: Tensor
    inverse_n_baK: Tensor
    push_bK: Tensor


def _slices(total: int, size: int) -> list[slice]:
    return [slice(i, min(i + size, total)) for i in range(0, total, size)]


def _difference_blocks(
    g: Geometry, negatives: Negatives, anchor_sample_A: Tensor | None, push_BD: Tensor
) -> Iterator[_DifferenceBlock]:
    """Blocks of about BLOCK cosines; what they leave in ``push_bK`` is carried on to ``push_BD``.

    Shared negatives: anchors outside, so that a_j.t_k and n_jk are made once. Own negatives: samples outside, so that
    t_k is gathered once.
    """
    batch, k = len(g.s_BD), len(negatives)
    tiles = _slices(len(g.a_AD), max(1, BLOCK // k))
    chunks = _slices(batch, max(1, BLOCK // (k * min(len(g.a_AD), max(1, BLOCK // k)))))
    if negatives.index_BK is None:
        t_KD, s_dot_t_BK = g.candidates(negatives, slice(0, batch))
        push_BK = torch.zeros_like(s_dot_t_BK)
        is_anchor_1AK = negatives.is_anchor(anchor_sample_A, slice(0, batch))
        for anchors in tiles:
            shared = g.keys(t_KD, anchors, is_anchor_1AK)
            for samples in chunks:
                yield _DifferenceBlock(samples, anchors, s_dot_t_BK[samples], *shared, push_BK[samples])
        push_BD += push_BK @ t_KD
        return
    for samples in chunks:
        t_bKD, s_dot_t_bK = g.candidates(negatives, samples)
        push_bK = torch.zeros_like(s_dot_t_bK)
        is_anchor_bAK = negatives.is_anchor(anchor_sample_A, samples)
        for anchors in tiles:
            yield _DifferenceBlock(samples, anchors, s_dot_t_bK, *g.keys(t_bKD, anchors, is_anchor_bAK), push_bK)
        push_BD[samples] += (push_bK[:, None] @ t_bKD)[:, 0]


def _mlp(p: Problem, relation: MLP) -> tuple[Tensor, Tensor, Tensor]:
    query_BD, positive_BD, anchor_AD = p.query_BD, p.positive_BD.detach(), p.anchor_AD.detach()
    negatives, objective, weight_BA, count_BA = p.negatives, p.objective, p.weight_BA, p.count_BA
    query_BAE = query_relations(relation, anchor_AD, query_BD)
    key_BAE = key_relations(relation, anchor_AD, positive_BD[:, None])[:, :, 0]
    with torch.no_grad():
        q_BAE = query_BAE.detach()
        positive_BA = (q_BAE * key_BAE).sum(dim=-1)
        loss_BA, pull_BA = torch.empty_like(positive_BA), torch.empty_like(positive_BA)
        dq_BAE = torch.empty_like(q_BAE)
        du, dv, dw = (torch.zeros_like(m) for m in (relation.key_u, relation.key_v, relation.key_w))
        anchor_AH = anchor_AD @ relation.key_u.T
        hidden_KH, d_hidden_KH = anchor_AH.new_empty(2, len(negatives), anchor_AH.shape[1])  # reused: fresh memory is
        unit_KE, d_out_KE, product_KE = q_BAE.new_empty(3, len(negatives), q_BAE.shape[2])  # slow to touch
        batch = len(query_BD)
        groups = [slice(0, batch)] if negatives.index_BK is None else [slice(i, i + 1) for i in range(batch)]
        for group in groups:
            rows_KD = negatives.rows
            if negatives.index_BK is not None:
                rows_KD = F.embedding(negatives.index_BK[group.start], rows_KD)
            sample_KH = rows_KD @ relation.key_v.T
            d_sample_KH = torch.zeros_like(sample_KH)
            is_anchor_bAK = negatives.is_anchor(p.anchor_sample_A, group)
            for j in range(len(anchor_AD)):
                torch.sub(anchor_AH[j], sample_KH, out=hidden_KH).relu_()
                torch.mm(hidden_KH, relation.key_w.T, out=unit_KE)
                norm_K1 = torch.linalg.vector_norm(unit_KE, dim=1, keepdim=True).clamp_min_(MIN_NORM)
                unit_KE.div_(norm_K1)
                logit_bK = (q_BAE[group, j] @ unit_KE.T).div_(objective.temperature)
                if negatives.excluded_BK is not None:
                    logit_bK.masked_fill_(negatives.excluded_BK[group], -MASKED)
                if is_anchor_bAK is not None:
                    logit_bK.masked_fill_(is_anchor_bAK[:, j], -MASKED)
                pair = (group, j)
                e_bK, scratch_bK = torch.empty_like(logit_bK), torch.empty_like(logit_bK)
                sum_e_b, negative_loss_b = _block(objective, logit_bK, count_BA[pair], e_bK, scratch_bK)
                loss_BA[pair], pull_BA[pair] = pair_terms(
                    objective, sum_e_b, negative_loss_b, positive_BA[pair], count_BA[pair], weight_BA[pair]
                )
                e_bK *= factor(objective, sum_e_b, positive_BA[pair], weight_BA[pair])[:, None]
                dq_BAE[pair] = e_bK @ unit_KE
                torch.mm(e_bK.T, q_BAE[pair], out=d_out_KE)
                along_K1 = torch.mul(unit_KE, d_out_KE, out=product_KE).sum(dim=1, keepdim=True)
                d_out_KE.addcmul_(unit_KE, along_K1, value=-1).div_(norm_K1)
                dw.addmm_(d_out_KE.T, hidden_KH)
                torch.mm(d_out_KE, relation.key_w, out=d_hidden_KH).mul_(hidden_KH.sign_())
                du.addr_(d_hidden_KH.sum(dim=0), anchor_AD[j])
                d_sample_KH -= d_hidden_KH
            dv.addmm_(d_sample_KH.T, rows_KD)
        dq_BAE += pull_BA[..., None] * key_BAE
        loss = (weight_BA * loss_BA).sum()
    pairs = [
        (query_BAE, dq_BAE),
        (key_BAE, pull_BA[..., None] * q_BAE),
        (relation.key_u, du),
        (relation.key_v, dv),
        (relation.key_w, dw),
    ]
    return with_gradients(loss, pairs), loss_BA, positive_BA
