"""The relation contrast without any tensor of size B * A * K: one sample (or one anchor) at a time, in PyTorch.

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
        shape_AK = (len(a_AD), len(negatives))
        logit_AK, e_AK = a_AD.new_empty(shape_AK), a_AD.new_empty(shape_AK)
        keys = _difference_keys(s_BD, a_AD, square_A, centre_D, negatives, anchor_sample_A)
        for i, (t_KD, s_dot_t_K, a_dot_t_AK, inverse_n_AK) in enumerate(keys):
            scale_A = inverse_m_BA[i] / objective.temperature
            torch.sub(s_dot_t_K, a_dot_t_AK, out=logit_AK)
            logit_AK.add_(shift_BA[i, :, None]).mul_(inverse_n_AK).mul_(scale_A[:, None])
            _, *sums = _block(objective, logit_AK, count_BA[i], out=e_AK)
            loss_BA[i], positive_pull_A, factor_A = _pair_terms(
                objective, (sums[0], sums[1]), positive_BA[i], count_BA[i], weight_BA[i]
            )
            cosine_sum_A = logit_AK.mul_(e_AK).sum(dim=1) * objective.temperature
            turn_BA[i] = factor_A * cosine_sum_A + positive_pull_A * positive_BA[i]
            e_AK.mul_(inverse_n_AK)
            factor_A *= inverse_m_BA[i]
            positive_pull_A *= inverse_m_BA[i] * inverse_n_BA[i]
            pull_BA[i] = factor_A * e_AK.sum(dim=1) + positive_pull_A
            gradient_BD[i] = (factor_A @ e_AK) @ t_KD + positive_pull_A.sum() * t_BD[i]
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
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """For each sample: its negatives t_k (centred), s.t_k [K], a_j.t_k and 1 / n_jk [A, K]; masked where unusable."""

    def products(i: int, rows_KD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        t_KD = rows_KD - centre_D
        a_dot_t_AK = a_AD @ t_KD.T
        n2_AK = t_KD.square().sum(dim=1) - 2 * a_dot_t_AK + square_A[:, None]
        is_anchor_AK = negatives.is_anchor(anchor_sample_A, i)
        if is_anchor_AK is not None:
            a_dot_t_AK.masked_fill_(is_anchor_AK, MASKED)
        return t_KD, a_dot_t_AK, n2_AK.clamp_(min=MIN_DISTANCE**2).rsqrt_()

    shared = products(0, negatives.rows) if negatives.index_BK is None else None
    for i in range(len(s_BD)):
        if shared is None:
            assert negatives.index_BK is not None
            t_KD, a_dot_t_AK, inverse_n_AK = products(i, negatives.rows[negatives.index_BK[i]])
        else:
            t_KD, a_dot_t_AK, inverse_n_AK = shared
        s_dot_t_K = t_KD @ s_BD[i]
        if negatives.excluded_BK is not None:
            s_dot_t_K.masked_fill_(negatives.excluded_BK[i], -MASKED)
        yield t_KD, s_dot_t_K, a_dot_t_AK, inverse_n_AK


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
            is_anchor_AK = negatives.is_anchor(anchor_sample_A, group.start)
            for j in range(len(anchor_AD)):
                hidden_KH = F.relu(anchor_AH[j] - sample_KH)
                out_KE = hidden_KH @ relation.key_w.T
                norm_K1 = torch.linalg.vector_norm(out_KE, dim=1, keepdim=True)
                unit_KE = out_KE.div_(norm_K1.clamp_min(MIN_NORM))
                logit_bK = (q_BAE[group, j] @ unit_KE.T).div_(objective.temperature)
                if negatives.excluded_BK is not None:
                    logit_bK.masked_fill_(negatives.excluded_BK[group], -MASKED)
                if is_anchor_AK is not None:
                    logit_bK.masked_fill_(is_anchor_AK[j], -MASKED)
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
