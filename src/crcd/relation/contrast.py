"""The relation contrastive loss as a pure function."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from crcd.errors import CrcdError, unknown
from crcd.relation.kernels import oracle, streaming
from crcd.relation.kernels.problem import Problem
from crcd.relation.negatives import Negatives
from crcd.relation.objectives import Objective
from crcd.relation.relations import MLP, Relation

Kernel = Literal["auto", "oracle", "streaming", "triton"]

TRITON_WIDTH = 256
"""The Triton kernels keep a whole row of such a width at hand; a wider one leaves no room in shared memory."""


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
        kernel: ``"oracle"`` materialises every relation; ``"streaming"`` none; ``"triton"`` neither, on a CUDA
            device in float32; ``"auto"`` takes the fastest of them that can run.

    Raises:
        CrcdError: no such kernel, or ``"triton"`` cannot run here.

    Returns:
        The mean over pairs, sum(w L) / sum(w), and the mutual-information bound. Both are 0 when all weights are.
        Gradients flow to ``query_BD`` and to the matrices of an ``MLP`` relation.
    """
    if kernel not in get_args(Kernel):
        raise unknown("kernel", kernel, get_args(Kernel))
    count_BA = negatives.count(len(query_BD), anchor_sample_A, len(anchor_AD))
    usable_BA = (count_BA > 0).to(query_BD.dtype)
    weight_BA = usable_BA if weight_BA is None else weight_BA * usable_BA
    weight_BA = weight_BA / weight_BA.sum().clamp_min(1e-12)
    run = _choose(kernel, relation, query_BD, negatives)
    with torch.autocast(query_BD.device.type, enabled=False):
        loss, loss_BA, positive_BA = run(
            Problem(
                relation, query_BD, positive_BD, anchor_AD, negatives, weight_BA, count_BA, anchor_sample_A, objective
            )
        )
    bound = (weight_BA * objective.bound(loss_BA, positive_BA, count_BA)).sum()
    return Contrast(loss, bound.detach())


def _choose(
    kernel: Kernel, relation: Relation, query_BD: Tensor, negatives: Negatives
) -> Callable[[Problem], tuple[Tensor, Tensor, Tensor]]:
    if kernel == "oracle":
        return oracle.contrast
    obstacle = _obstacle(relation, query_BD, negatives)
    if kernel == "triton" or (
        kernel == "auto" and obstacle is None and query_BD.is_cuda and find_spec("triton") is not None
    ):
        if obstacle is not None:
            raise CrcdError(f"the triton kernel {obstacle}: use kernel='auto'")
        try:
            from crcd.relation.kernels import triton
        except ModuleNotFoundError as error:
            raise CrcdError("the triton kernel needs triton, which is not installed: use kernel='auto'") from error
        return triton.contrast
    return streaming.contrast


def _obstacle(relation: Relation, query_BD: Tensor, negatives: Negatives) -> str | None:
    """Why the Triton kernels cannot take these inputs; None when they can."""
    if query_BD.dtype != torch.float32:
        return f"takes float32 elements, not {str(query_BD.dtype).removeprefix('torch.')}"
    if isinstance(relation, MLP):
        width, what = len(relation.key_w), "relations"
    else:
        width, what = (0 if negatives.index_BK is None else query_BD.shape[1]), "elements with negatives of their own"
    if width > TRITON_WIDTH:
        return f"takes {what} up to width {TRITON_WIDTH}, not {width}"
    return None
