"""The relation contrast without any tensor of size B * A * K: a few samples (or one anchor) at a time, in PyTorch.

The gradient is produced while the forward runs, so nothing of a block outlives it. For the difference relation the
cosine needs Gram products alone. With m_ij = |s_i - a_j|, n_jk = |t_k - a_j| (both clamped from below):

    cos_ijk = (s_i.t_k - s_i.a_j - a_j.t_k + |a_j|^2) / (m_ij n_jk)
    G_ijk   = dL / dcos_ijk,  H_ijk = G_ijk / (m_ij n_jk)
    C_ij    = sum_k G_ijk cos_ijk / m_ij^2
    ds_i    = sum_k (sum_j H_ijk) t_k + sum_j (C_ij - sum_k H_ijk) a_j - (sum_j C_ij) s_i

Relations do not change when all elements move together, so everything is first centred on the anchors' mean, which
keeps n_jk accurate when the elements lie close to each other. exp(cos / tau) needs no shift: tau >= 0.02 keeps it
within float32.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from crcd.relation.negatives import Negatives
from crcd.relation.objectives import InfoNCE, Objective
from crcd.relation.relations import (
    MIN_DISTANCE,
    MIN_NORM,
    MLP,
    Difference,
    Relation,
    key_relations,
    query_relations,
)

MASKED = 1e25  # far enough that exp(-MASKED) is 0, near enough that no product with it overflows in float32

BLOCK = 2**18  # cosines at work at once: a megabyte in float32, about what a core's cache holds


class _KnownGradient(torch.autograd.Function):
    """A scalar whose gradients with respect to some inputs are known already."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, count: int, *inputs_and_gradients: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs_and_gradients[count:])
        return value.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gradients = tuple(grad * gradient for gradient in ctx.saved_tensors)
        return (None, None, *gradients, *(None for _ in gradients))


def _with_gradients(value: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    inputs, gradients = zip(*pairs, strict=True)
    result: Tensor = _KnownGradient.apply(value, len(pairs), *inputs, *gradients)
    return result


def contrast(
    relation: Relation,
    query_BD: Tensor,
    positive_BD: Tensor,
    anchor_AD: Tensor,
    negatives: Negatives,
    weight_BA: Tensor,
    count_BA: Tensor,
    anchor_sample_A: Tensor | None,
    objective: Objective,
) -> tuple[Tensor, Tensor, Tensor]:
    """See ``crcd.relation.contrast.relation_contrast``; returns (sum of weight * loss, loss_BA, positive cosine_BA)."""
    arguments = (positive_BD.detach(), anchor_AD.detach(), negatives, weight_BA, count_BA, anchor_sample_A, objective)
    if isinstance(relation, Difference):
        return _difference(query_BD, *arguments)
    return _mlp(relation, query_BD, *arguments)


def _pair_terms(
    objective: Objective, sums: tuple[Tensor, Tensor], positive: Tensor, count: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of pairs, its gradient at their positive cosine, and the factor of G = factor * E.

    ``sums`` are what ``_block`` summed over a pair's negatives: of E, and of the negatives' own loss (0 for InfoNCE).
    """
    sum_e, negative_loss = sums
    scaled = weight / objective.temperature
    if isinstance(objective, InfoNCE):
        positive_e = torch.exp(positive / objective.temperature)
        total = sum_e + positive_e
        return total.log() - positive / objective.temperature, -scaled * sum_e / total, scaled / total
    log_odds = objective.log_odds(positive, count)
    return F.softplus(-log_odds) + negative_loss, -scaled * torch.sigmoid(-log_odds), scaled


def _block(objective: Objective, logit: Tensor, count: Tensor, out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """E (into ``out``) of a block of cos / tau with keys in the last dimension, and the two sums of ``_pair_terms``."""
    if isinstance(objective, InfoNCE):
        e = torch.exp(logit, out=out)
        return e, e.sum(dim=-1), e.new_zeros(())
    log_odds = logit - objective.offset(count)[..., None]
    e = torch.sigmoid(log_odds, out=out)
    return e, e.sum(dim=-1), F.softplus(log_odds).sum(dim=-1)


def _difference(
    query_BD: Tensor,
    positive_BD: Tensor,
    anchor_AD: Tensor,
    negatives: Negatives,
    weight_BA: Tensor,
    count_BA: Tensor,
    anchor_sample_A: Tensor | None,
    objective: Objective,
) -> tuple[Tensor, Tensor, Tensor]:
    with torch.no_grad():
        centre_D = anchor_AD.mean(dim=0)
        s_BD, t_BD, a_AD = query_BD - centre_D, positive_BD - centre_D, anchor_AD - centre_D
        square_A = a_AD.square().sum(dim=1)
        s_dot_a_BA, t_dot_a_BA = s_BD @ a_AD.T, t_BD @ a_AD.T
        m2_BA = s_BD.square().sum(dim=1, keepdim=True) - 2 * s_dot_a_BA + square_A
        n2_BA = t_BD.square().sum(dim=1, keepdim=True) - 2 * t_dot_a_BA + square_A
        inverse_m_BA = m2_BA.clamp_min(MIN_DISTANCE**2).rsqrt_()
        inverse_n_BA = n2_BA.clamp_min(MIN_DISTANCE**2).rsqrt_()
        shift_BA = square_A - s_dot_a_BA
        s_dot_t_B1 = (s_BD * t_BD).sum(dim=1, keepdim=True)
        positive_BA = (s_dot_t_B1 - t_dot_a_BA + shift_BA) * inverse_n_BA * inverse_m_BA

        loss_BA, pull_BA = torch.empty_like(positive_BA), torch.empty_like(positive_BA)  # pull = sum_k H
        turn_BA = torch.empty_like(positive_BA)  # sum_k G cos
        gradient_BD = torch.empty_like(s_BD)
        size = max(1, BLOCK // (len(a_AD) * len(negatives)))
        chunks = [slice(i, min(i + size, len(s_BD))) for i in range(0, len(s_BD), size)]
        shape_bAK = (min(size, len(s_BD)), len(a_AD), len(negatives))
        logit_buffer, e_buffer = a_AD.new_empty(shape_bAK), a_AD.new_empty(shape_bAK)
        keys = _difference_keys(s_BD, a_AD, square_A, centre_D, negatives, anchor_sample_A, chunks)
        for chunk, (t_bKD, s_dot_t_bK, a_dot_t_bAK, inverse_n_bAK) in zip(chunks, keys, strict=True):
            logit_bAK, e_bAK = (buffer[: len(s_dot_t_bK)] for buffer in (logit_buffer, e_buffer))
            torch.sub(s_dot_t_bK[:, None], a_dot_t_bAK, out=logit_bAK)
            logit_bAK.add_(shift_BA[chunk, :, None]).mul_(inverse_n_bAK)
            logit_bAK.mul_(inverse_m_BA[chunk, :, None] / objective.temperature)
            _, *sums = _block(objective, logit_bAK, count_BA[chunk], out=e_bAK)
            loss_BA[chunk], positive_pull_bA, factor_bA = _pair_terms(
                objective, (sums[0], sums[1]), positive_BA[chunk], count_BA[chunk], weight_BA[chunk]
            )
            cosine_sum_bA = logit_bAK.mul_(e_bAK).sum(dim=-1) * objective.temperature
            turn_BA[chunk] = factor_bA * cosine_sum_bA + positive_pull_bA * positive_BA[chunk]
            e_bAK.mul_(inverse_n_bAK)
            factor_bA = factor_bA * inverse_m_BA[chunk]
            positive_pull_bA = positive_pull_bA * inverse_m_BA[chunk] * inverse_n_BA[chunk]
            pull_BA[chunk] = factor_bA * e_bAK.sum(dim=-1) + positive_pull_bA
            push_b1K = factor_bA[:, None] @ e_bAK
            gradient_BD[chunk] = push_b1K[:, 0] @ t_bKD if t_bKD.ndim == 2 else (push_b1K @ t_bKD)[:, 0]
            gradient_BD[chunk] += positive_pull_bA.sum(dim=1, keepdim=True) * t_BD[chunk]
        turn_BA *= torch.where(m2_BA > MIN_DISTANCE**2, inverse_m_BA.square(), 0)
        gradient_BD += (turn_BA - pull_BA) @ a_AD - turn_BA.sum(dim=1, keepdim=True) * s_BD
        loss = (weight_BA * loss_BA).sum()
    return _with_gradients(loss, [(query_BD, gradient_BD)]), loss_BA, positive_BA


def _difference_keys(
    s_BD: Tensor,
    a_AD: Tensor,
    square_A: Tensor,
    centre_D: Tensor,
    negatives: Negatives,
    anchor_sample_A: Tensor | None,
    chunks: list[slice],
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """What each chunk of samples needs of its negatives, masked where unusable.

    t_k, centred, [K, D] when shared and [b, K, D] otherwise; s.t_k, [b, K]; a_j.t_k and 1 / n_jk, [1 or b, A, K].
    """

    def products(chunk: slice, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a_dot_t_bAK = a_AD @ t.reshape(-1, *t.shape[-2:]).mT
        t2_b1K = torch.linalg.vector_norm(t, dim=-1).square().reshape(-1, 1, t.shape[-2])
        n2_bAK = torch.sub(t2_b1K, a_dot_t_bAK, alpha=2)
        inverse_n_bAK = n2_bAK.add_(square_A[:, None]).clamp_(min=MIN_DISTANCE**2).rsqrt_()
        is_anchor_bAK = negatives.is_anchor(anchor_sample_A, chunk)
        if is_anchor_bAK is not None:
            a_dot_t_bAK.masked_fill_(is_anchor_bAK, MASKED)
        return t, a_dot_t_bAK, inverse_n_bAK

    index_BK = negatives.index_BK
    shared = products(slice(0), negatives.rows - centre_D) if index_BK is None else None
    for chunk in chunks:
        if index_BK is not None:
            t, a_dot_t_bAK, inverse_n_bAK = products(chunk, negatives.rows[index_BK[chunk]].sub_(centre_D))
            s_dot_t_bK = (t @ s_BD[chunk, :, None])[..., 0]
        elif shared is not None:
            t, a_dot_t_bAK, inverse_n_bAK = shared
            s_dot_t_bK = s_BD[chunk] @ t.T
        if negatives.excluded_BK is not None:
            s_dot_t_bK.masked_fill_(negatives.excluded_BK[chunk], -MASKED)
        yield t, s_dot_t_bK, a_dot_t_bAK, inverse_n_bAK


def _mlp(
    relation: MLP,
    query_BD: Tensor,
    positive_BD: Tensor,
    anchor_AD: Tensor,
    negatives: Negatives,
    weight_BA: Tensor,
    count_BA: Tensor,
    anchor_sample_A: Tensor | None,
    objective: Objective,
) -> tuple[Tensor, Tensor, Tensor]:
    query_BAE = query_relations(relation, anchor_AD, query_BD)
    key_BAE = key_relations(relation, anchor_AD, positive_BD[:, None])[:, :, 0]
    with torch.no_grad():
        q_BAE = query_BAE.detach()
        positive_BA = (q_BAE * key_BAE).sum(dim=-1)
        loss_BA, pull_BA = torch.empty_like(positive_BA), torch.empty_like(positive_BA)
        dq_BAE = torch.empty_like(q_BAE)
        du, dv, dw = (torch.zeros_like(m) for m in (relation.key_u, relation.key_v, relation.key_w))
        anchor_AH = anchor_AD @ relation.key_u.T
        batch = len(query_BD)
        groups = [slice(0, batch)] if negatives.index_BK is None else [slice(i, i + 1) for i in range(batch)]
        for group in groups:
            rows_KD = negatives.rows if negatives.index_BK is None else negatives.rows[negatives.index_BK[group.start]]
            sample_KH = rows_KD @ relation.key_v.T
            d_sample_KH = torch.zeros_like(sample_KH)
            is_anchor_bAK = negatives.is_anchor(anchor_sample_A, group)
            for j in range(len(anchor_AD)):
                hidden_KH = F.relu(anchor_AH[j] - sample_KH)
                out_KE = hidden_KH @ relation.key_w.T
                norm_K1 = torch.linalg.vector_norm(out_KE, dim=1, keepdim=True)
                unit_KE = out_KE.div_(norm_K1.clamp_min(MIN_NORM))
                logit_bK = (q_BAE[group, j] @ unit_KE.T).div_(objective.temperature)
                if negatives.excluded_BK is not None:
                    logit_bK.masked_fill_(negatives.excluded_BK[group], -MASKED)
                if is_anchor_bAK is not None:
                    logit_bK.masked_fill_(is_anchor_bAK[:, j], -MASKED)
                pair = (group, j)
                e_bK, *sums = _block(objective, logit_bK, count_BA[pair], out=torch.empty_like(logit_bK))
                loss_BA[pair], pull_BA[pair], factor_b = _pair_terms(
                    objective, (sums[0], sums[1]), positive_BA[pair], count_BA[pair], weight_BA[pair]
                )
                e_bK *= factor_b[:, None]
                dq_BAE[pair] = e_bK @ unit_KE
                d_unit_KE = e_bK.T @ q_BAE[pair]
                d_out_KE = d_unit_KE - unit_KE * (unit_KE * d_unit_KE).sum(dim=1, keepdim=True)
                d_out_KE.div_(norm_K1.clamp_min(MIN_NORM))
                dw.addmm_(d_out_KE.T, hidden_KH)
                d_hidden_KH = (d_out_KE @ relation.key_w).mul_(hidden_KH > 0)
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
    return _with_gradients(loss, pairs), loss_BA, positive_BA
