"""How two embedded elements make a relation, and the networks that learn it.

An anchor-teacher relation r^T_ij = M_T(t_j, t_i) is compared with the anchor-student relation r^TS_ij = M_TS(t_j, s_i)
by the cosine between them: the critic exp(<h1(r^T), h2(r^TS)> / tau) of CRCD, eq. 15, without its constant.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_DISTANCE = 1e-3
"""Smallest length by which a difference is divided: two nearer elements have no direction between them."""
MIN_NORM = 1e-12
"""Smallest length by which the output of a relation network is divided."""


@dataclass(frozen=True)
class Difference:
    """r(a, x) = (x - a) / max(|x - a|, 1e-3), for queries and keys alike (the released code's relation)."""


@dataclass(frozen=True)
class MLP:
    """r(a, x) = l2norm(W ReLU(U a - V x)), one network for queries and one for keys (CRCD, eq. 10, 11 and 15).

    W stands for the product of the relation network's last layer and the critic's linear head: linear after linear
    is one matrix.

    Attributes:
        query_u, query_v: U_TS, V_TS, [H, D].
        query_w: h2 W_TS, [E, H].
        key_u, key_v: U_T, V_T, [H, D].
        key_w: h1 W_T, [E, H].
    """

    query_u: Tensor
    query_v: Tensor
    query_w: Tensor
    key_u: Tensor
    key_v: Tensor
    key_w: Tensor


Relation = Difference | MLP


def query_relations(relation: Relation, anchor_AD: Tensor, query_BD: Tensor) -> Tensor:
    """Anchor-student relations r_ij, unit rows, [B, A, E]."""
    if isinstance(relation, Difference):
        return F.normalize(query_BD[:, None] - anchor_AD, dim=-1, eps=MIN_DISTANCE)
    hidden = F.relu((anchor_AD @ relation.query_u.T) - (query_BD @ relation.query_v.T)[:, None])
    return F.normalize(hidden @ relation.query_w.T, dim=-1, eps=MIN_NORM)


def key_relations(relation: Relation, anchor_AD: Tensor, key_BMD: Tensor) -> Tensor:
    """Anchor-teacher relations r_ijm of the keys m of sample i, unit rows, [B, A, M, E]."""
    if isinstance(relation, Difference):
        return F.normalize(key_BMD[:, None] - anchor_AD[:, None], dim=-1, eps=MIN_DISTANCE)
    hidden = F.relu((anchor_AD @ relation.key_u.T)[:, None] - (key_BMD @ relation.key_v.T)[:, None])
    return F.normalize(hidden @ relation.key_w.T, dim=-1, eps=MIN_NORM)


class MLPNetwork(nn.Module):
    """The trainable matrices of ``MLP``: two networks of width ``hidden`` and output width ``dim``."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        for side in ("query", "key"):
            for name, shape in {"u": (hidden, dim), "v": (hidden, dim), "w": (dim, hidden)}.items():
                matrix = nn.Parameter(torch.empty(shape))
                nn.init.normal_(matrix, std=math.sqrt(2.0 / shape[1]))
                self.register_parameter(f"{side}_{name}", matrix)

    def forward(self) -> MLP:
        """The relation with today's matrices."""
        return MLP(**dict(self.named_parameters()))


class DifferenceNetwork(nn.Module):
    """The difference relation, which has nothing to train."""

    def forward(self) -> Difference:
        """The relation."""
        return Difference()
