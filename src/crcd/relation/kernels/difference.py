"""What every kernel of the difference relation does before and after its pass over the negatives.

For the difference relation the cosine needs Gram products alone. With m_ij = |s_i - a_j|, n_jk = |t_k - a_j| (both
clamped from below), E_ijk the softmax's numerator (InfoNCE) or the sigmoid (NCE) and G = factor_ij E:

    cos_ijk = (s_i.t_k - s_i.a_j - a_j.t_k + |a_j|^2) / (m_ij n_jk)
    G_ijk   = dL / dcos_ijk,  H_ijk = G_ijk / (m_ij n_jk)
    C_ij    = sum_k G_ijk cos_ijk / m_ij^2
    ds_i    = sum_k (sum_j H_ijk) t_k + sum_j (C_ij - sum_k H_ijk) a_j - (sum_j C_ij) s_i

Relations do not change when all elements move together, so everything is first centred on the anchors' mean, which
keeps n_jk accurate when the elements lie close to each other. In float32 a cosine is wrong by about
1e-7 r^2 / (m_ij n_jk), r the distance from that centre: unit rows in several clusters of width 0.01 that lie far apart
cost three digits, longer rows more; take the oracle, or float64, for such.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from crcd.relation.kernels.pairs import factor, pair_terms
from crcd.relation.negatives import Negatives
from crcd.relation.objectives import Objective
from crcd.relation.relations import MIN_DISTANCE

MASKED = 1e25
"""Far enough that exp(-MASKED) is 0, near enough that no product with it overflows in float32."""


@dataclass(frozen=True)
class Sums:
    """What a pass over the negatives sums, usable ones only.

    Attributes:
        e_BA: sum_k E.
        negative_loss_BA: sum_k of the negatives' own loss (0 for InfoNCE).
        turn_BA: sum_k E cos / tau.
        pull_BA: sum_k E / n.
        push_BD: sum_j factor_ij / m_ij sum_k E_ijk / n_jk t_k.
    """

    e_BA: Tensor
    negative_loss_BA: Tensor
    turn_BA: Tensor
    pull_BA: Tensor
    push_BD: Tensor


@dataclass(frozen=True)
class Geometry:
    """Centred elements, their products, and the positive cosines."""

    centre_D: Tensor
    s_BD: Tensor
    t_BD: Tensor
    a_AD: Tensor
    square_A: Tensor
    s_dot_a_BA: Tensor
    inverse_m_BA: Tensor
    inverse_n_BA: Tensor
    clamped_BA: Tensor
    positive_BA: Tensor

    @classmethod
    def of(cls, query_BD: Tensor, positive_BD: Tensor, anchor_AD: Tensor) -> Self:
        """The geometry of a batch's queries, positives and anchors."""
        centre_D = anchor_AD.mean(dim=0)
        s_BD, t_BD, a_AD = query_BD - centre_D, positive_BD - centre_D, anchor_AD - centre_D
        square_A = a_AD.square().sum(dim=1)
        s_dot_a_BA, t_dot_a_BA = s_BD @ a_AD.T, t_BD @ a_AD.T
        m2_BA = s_BD.square().sum(dim=1, keepdim=True) - 2 * s_dot_a_BA + square_A
        n2_BA = t_BD.square().sum(dim=1, keepdim=True) - 2 * t_dot_a_BA + square_A
        inverse_m_BA = m2_BA.clamp_min(MIN_DISTANCE**2).rsqrt_()
        inverse_n_BA = n2_BA.clamp_min(MIN_DISTANCE**2).rsqrt_()
        s_dot_t_B1 = (s_BD * t_BD).sum(dim=1, keepdim=True)
        positive_BA = (s_dot_t_B1 - t_dot_a_BA - s_dot_a_BA + square_A) * inverse_n_BA * inverse_m_BA
        clamped_BA = m2_BA <= MIN_DISTANCE**2
        return cls(
            centre_D, s_BD, t_BD, a_AD, square_A, s_dot_a_BA, inverse_m_BA, inverse_n_BA, clamped_BA, positive_BA
        )

    def candidates(self, negatives: Negatives, samples: slice) -> tuple[Tensor, Tensor]:
        """Centred negatives, [K, D] for all samples or [b, K, D], and s.t_k, at -MASKED where excluded, [b, K]."""
        s_bD = self.s_BD[samples]
        if negatives.index_BK is None:
            t_bKD = negatives.rows - self.centre_D
            s_dot_t_bK = s_bD @ t_bKD.T
        else:  # on a CPU an embedding gathers rows several times as fast as an index
            t_bKD = F.embedding(negatives.index_BK[samples], negatives.rows).sub_(self.centre_D)
            s_dot_t_bK = (s_bD[:, None] @ t_bKD.mT)[:, 0]
        if negatives.excluded_BK is not None:
            s_dot_t_bK.masked_fill_(negatives.excluded_BK[samples], -MASKED)
        return t_bKD, s_dot_t_bK

    def keys(self, t_bKD: Tensor, anchors: slice, is_anchor_bAK: Tensor | None) -> tuple[Tensor, Tensor]:
        """(|a_j|^2 - a_j.t_k) / n_jk, at -MASKED where key k is anchor j, and 1 / n_jk, both [b, a, K].

        Args:
            t_bKD: centred keys, [K, D] for one set (b = 1), or a set for each of b samples.
            anchors: those that are asked for.
            is_anchor_bAK: True where a key is an anchor; None for nowhere.
        """
        product = self.a_AD[anchors] @ t_bKD.mT  # of two matrices for one set: quicker than of a batch of one
        a_dot_t_baK = product.reshape(-1, *product.shape[-2:])
        t2_b1K = torch.linalg.vector_norm(t_bKD, dim=-1).square().reshape(-1, 1, t_bKD.shape[-2])
        square_a1 = self.square_A[anchors, None]
        inverse_n_baK = torch.sub(t2_b1K, a_dot_t_baK, alpha=2).add_(square_a1)
        inverse_n_baK.clamp_(min=MIN_DISTANCE**2).rsqrt_()
        shift_baK = a_dot_t_baK.sub_(square_a1).neg_().mul_(inverse_n_baK)
        if is_anchor_bAK is not None:
            shift_baK.masked_fill_(is_anchor_bAK[:, anchors], -MASKED)
        return shift_baK, inverse_n_baK

    def finish(self, sums: Sums, objective: Objective, weight_BA: Tensor, count_BA: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of every pair, and the gradient of the weighted sum at the queries, [B, D]."""
        loss_BA, positive_G_BA = pair_terms(
            objective, sums.e_BA, sums.negative_loss_BA, self.positive_BA, count_BA, weight_BA
        )
        factor_BA = factor(objective, sums.e_BA, self.positive_BA, weight_BA)
        positive_H_BA = positive_G_BA * self.inverse_m_BA * self.inverse_n_BA
        pull_BA = sums.pull_BA * factor_BA * self.inverse_m_BA + positive_H_BA  # sum_k H
        turn_BA = sums.turn_BA * factor_BA * objective.temperature + positive_G_BA * self.positive_BA
        turn_BA *= self.inverse_m_BA.square().masked_fill(self.clamped_BA, 0)  # C
        gradient_BD = sums.push_BD + positive_H_BA.sum(dim=1, keepdim=True) * self.t_BD
        gradient_BD += (turn_BA - pull_BA) @ self.a_AD - turn_BA.sum(dim=1, keepdim=True) * self.s_BD
        return loss_BA, gradient_BD
