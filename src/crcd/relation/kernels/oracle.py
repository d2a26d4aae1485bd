"""The relation contrast as its formulas read: every relation of every (sample, anchor, key) is made and kept.

The truth for tests. Memory is B * A * (K + 1) * D numbers.
"""

import torch
from torch import Tensor

from crcd.relation.kernels.problem import Problem
from crcd.relation.relations import key_relations, query_relations


def contrast(p: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """See ``crcd.relation.contrast.relation_contrast``; returns (sum of weight * loss, loss_BA, positive cosine_BA)."""
    query_BD, negatives, relation, objective = p.query_BD, p.negatives, p.relation, p.objective
    positive_BD, anchor_AD, rows = p.positive_BD.detach(), p.anchor_AD.detach(), negatives.rows.detach()
    batch, anchors, k = len(query_BD), len(anchor_AD), len(negatives)
    negative_BKD = rows.expand(batch, -1, -1) if negatives.index_BK is None else rows[negatives.index_BK]
    key_BMD = torch.cat([positive_BD[:, None], negative_BKD], dim=1)

    usable_BAK = torch.ones(batch, anchors, k, dtype=torch.bool, device=rows.device)
    if negatives.excluded_BK is not None:
        usable_BAK &= ~negatives.excluded_BK[:, None]
    is_anchor_BAK = negatives.is_anchor(p.anchor_sample_A, slice(0, batch))
    if is_anchor_BAK is not None:
        usable_BAK &= ~is_anchor_BAK

    cosine_BAM = torch.einsum(
        "bae,bame->bam", query_relations(relation, anchor_AD, query_BD), key_relations(relation, anchor_AD, key_BMD)
    )
    positive_BA, negative_BAK = cosine_BAM[..., 0], cosine_BAM[..., 1:]
    loss_BA = objective.loss(positive_BA, negative_BAK, usable_BAK, p.count_BA)
    return (p.weight_BA * loss_BA).sum(), loss_BA.detach(), positive_BA.detach()
