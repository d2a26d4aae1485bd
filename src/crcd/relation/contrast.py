"""The contrast of relations, and that of samples themselves, as pure functions."""

from typing import NamedTuple

import torch
from torch import Tensor

from crcd.relation.kernels.choice import Kernel, choose
from crcd.relation.kernels.problem import Problem
from crcd.relation.negatives import Negatives
from crcd.relation.objectives import Objective
from crcd.relation.relations import Relation


class Contrast(NamedTuple):
    """What the relation contrast of one batch gives.

    Attributes:
        loss: weighted mean over (sample, anchor) pairs, differentiable.
        mi_bound: lower bound of the mutual information of the two relations, nats, weighted mean, detached.
    """

    loss: Tensor
    mi_bound: Tensor


def relation_contrast(
    relation: Relation,
    query_BD: Tensor,
    positive_BD: Tensor,
    anchor_AD: Tensor,
    negatives: Negatives,
    objective: Objective,
    *,
    weight_BA: Tensor | None = None,
    anchor_sample_A: Tensor | None = None,
    count_BA: Tensor | None = None,
    kernel: Kernel = "auto",
) -> Contrast:
    """Contrast of anchor-student relations (queries) with anchor-teacher relations (keys); CRCD, eq. 10 to 15.

    For each sample i and anchor j the query r(a_j, s_i) is compared by cosine with the positive key r(a_j, t_i) and
    with the negative keys r(a_j, t_k); see ``InfoNCE`` and ``NCE`` for the loss of one pair.

    Args:
        relation: ``Difference()`` or an ``MLP`` with its matrices.
        query_BD: s, embedded unit rows; receives the gradient.
        positive_BD: t_i of the same samples; a constant, like anchors and negatives.
        anchor_AD: a.
        negatives: t_k, with what must not be used.
        objective: ``InfoNCE`` or ``NCE``.
        weight_BA: weight of each pair, 0 or more; None for 1. Pairs without a usable negative weigh nothing.
        anchor_sample_A: sample number of each anchor, so that negatives that equal it are left out.
        count_BA: ``negatives.count(...)``, where several calls have the same negatives; None to count here.
        kernel: ``"oracle"`` materialises every relation; ``"streaming"`` (PyTorch), ``"native"`` (C, the difference
            relation on the CPU) and ``"triton"`` (a CUDA device) none; ``"auto"`` takes the fastest that can run.

    Raises:
        CrcdError: no such kernel, or ``"native"`` or ``"triton"`` cannot run here.

    Returns:
        The mean over pairs, sum(w L) / sum(w), and the mutual-information bound. Both are 0 when all weights are.
        Gradients flow to ``query_BD`` and to the matrices of an ``MLP`` relation.
    """
    if count_BA is None:
        count_BA = negatives.count(len(query_BD), anchor_sample_A, len(anchor_AD))
    usable_BA = (count_BA > 0).to(query_BD.dtype)
    weight_BA = usable_BA if weight_BA is None else weight_BA * usable_BA
    weight_BA = weight_BA / weight_BA.sum().clamp_min(1e-12)
    problem = Problem(
        relation, query_BD, positive_BD, anchor_AD, negatives, weight_BA, count_BA, anchor_sample_A, objective
    )
    compute = choose(kernel, problem)
    with torch.autocast(query_BD.device.type, enabled=False):
        loss, loss_BA, positive_BA = compute(problem)
    bound = (weight_BA * objective.bound(loss_BA, positive_BA, count_BA)).sum()
    return Contrast(loss, bound.detach())


def sample_contrast(
    query_BD: Tensor,
    positive_BD: Tensor,
    negatives: Negatives,
    objective: Objective,
    *,
    weight_B: Tensor,
    count_B: Tensor | None = None,
) -> Contrast:
    """Contrast of samples themselves: their cosine is that of the two elements, which no relation comes between.

    Args:
        query_BD: s, embedded unit rows; receives the gradient.
        positive_BD: t_i of the same samples; a constant, like negatives.
        negatives: t_k, with what must not be used.
        objective: ``InfoNCE`` or ``NCE``.
        weight_B: weight of each sample, 0 or more. Those without a usable negative weigh nothing.
        count_B: usable negatives of each sample, where several calls have the same; None to count here.

    Returns:
        The mean over samples, sum(w L) / sum(w), and the mutual-information bound; both are 0 when all weights are.
    """
    if count_B is None:
        count_B = negatives.count(len(query_BD), None, 1)[:, 0]
    weight_B = weight_B * (count_B > 0)
    weight_B = weight_B / weight_B.sum().clamp_min(1e-12)
    with torch.autocast(query_BD.device.type, enabled=False):
        cosine_BK = query_BD @ negatives.rows.detach().T
        if negatives.index_BK is not None:
            cosine_BK = cosine_BK.gather(1, negatives.index_BK)
        excluded_BK = negatives.excluded_BK
        usable_BK = torch.ones_like(cosine_BK, dtype=torch.bool) if excluded_BK is None else ~excluded_BK
        positive_B = (query_BD * positive_BD.detach()).sum(dim=1)
        loss_B = objective.loss(positive_B, cosine_BK, usable_BK, count_B)
        bound = (weight_B * objective.bound(loss_B.detach(), positive_B.detach(), count_B)).sum()
    return Contrast((weight_B * loss_B).sum(), bound)
