"""The mlp relation in Triton kernels, a few anchors at a time.

Two sweeps: the first makes the keys' relations and sums what each pair's loss and query gradient need; the second, when
each pair's factor is known, makes the relations anew and takes the gradients of the key network's matrices. So no more
than a few anchors' [K, E] relations exist at once, and they stay within the second-level cache. Negatives that the
batch shares are one group; negatives of each sample's own are a group a sample, one after another.

With G_ik = dL / dcos_ijk for anchor j:

    dunit_k = sum_i G_ik q_ij;  dout_k = (dunit_k - unit_k (unit_k.dunit_k)) / |out_k|
    dhidden_k = W^T dout_k where hidden_k > 0;  dq_ij = sum_k G_ik unit_k
    dW = sum_jk dout_k hidden_k^T;  dU = sum_jk dhidden_k a_j^T;  dV = -sum_jk dhidden_k t_k^T

All sums have one fixed order: the same input gives the same bits.
"""

import torch
from torch import Tensor

from crcd.relation.kernels.pairs import factor, pair_terms, with_gradients
from crcd.relation.kernels.problem import Problem
from crcd.relation.kernels.triton.mlp_sweeps import Sweeps
from crcd.relation.relations import MLP, key_relations, query_relations


def contrast(p: Problem, relation: MLP) -> tuple[Tensor, Tensor, Tensor]:
    """See ``crcd.relation.contrast.relation_contrast``; returns (sum of weight * loss, loss_BA, positive cosine_BA)."""
    query_BAE = query_relations(relation, p.anchor_AD.detach(), p.query_BD)
    key_BAE = key_relations(relation, p.anchor_AD.detach(), p.positive_BD.detach()[:, None])[:, :, 0]
    with torch.no_grad():
        q_BAE = query_BAE.detach()
        positive_BA = (q_BAE * key_BAE).sum(dim=-1)
        sweeps = Sweeps(p, relation, q_BAE)
        groups = range(1 if p.negatives.index_BK is None else len(q_BAE))
        e_BA, negative_loss_BA, dq_BAE = (torch.cat(parts) for parts in zip(*map(sweeps.sums, groups), strict=True))
        loss_BA, pull_BA = pair_terms(p.objective, e_BA, negative_loss_BA, positive_BA, p.count_BA, p.weight_BA)
        factor_BA = factor(p.objective, e_BA, positive_BA, p.weight_BA)
        du, dv, dw = (sum(parts) for parts in zip(*(sweeps.gradients(g, factor_BA) for g in groups), strict=True))
        dq_BAE = factor_BA[..., None] * dq_BAE + pull_BA[..., None] * key_BAE
        loss = (p.weight_BA * loss_BA).sum()
    pairs = [
        (query_BAE, dq_BAE),
        (key_BAE, pull_BA[..., None] * q_BAE),
        (relation.key_u, du),
        (relation.key_v, dv),
        (relation.key_w, dw),
    ]
    return with_gradients(loss, pairs), loss_BA, positive_BA
