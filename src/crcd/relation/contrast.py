"""The relation contrastive loss as a pure function."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from crcd.errors import CrcdError, unknown
from crcd.relation.kernels import native, oracle, streaming
from crcd.relation.kernels.problem import Problem
from crcd.relation.negatives import Negatives
from crcd.relation.objectives import Objective
from crcd.relation.relations import Difference, Relation

Kernel = Literal["auto", "oracle", "streaming", "native", "triton"]


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
        kernel: ``"oracle"`` materialises every relation; ``"streaming"`` none; ``"native"`` (C, on the CPU) and
            ``"triton"`` (in one pass, on a CUDA device) neither, for the difference relation in float32; ``"auto"``
            takes the fastest of them that can run.

    Raises:
        CrcdError: no such kernel, or ``"native"`` or ``"triton"`` cannot run here.

    Returns:
        The mean over pairs, sum(w L) / sum(w), and the mutual-information bound. Both are 0 when all weights are.
        Gradients flow to ``query_BD`` and to the matrices of an ``MLP`` relation.
    """
    if kernel not in get_args(Kernel):
        raise unknown("kernel", kernel, get_args(Kernel))
    if count_BA is None:
        count_BA = negatives.count(len(query_BD), anchor_sample_A, len(anchor_AD))
    usable_BA = (count_BA > 0).to(query_BD.dtype)
    weight_BA = usable_BA if weight_BA is None else weight_BA * usable_BA
    weight_BA = weight_BA / weight_BA.sum().clamp_min(1e-12)
    run = _choose(kernel, relation, query_BD)
    with torch.autocast(query_BD.device.type, enabled=False):
        loss, loss_BA, positive_BA = run(
            Problem(
                relation, query_BD, positive_BD, anchor_AD, negatives, weight_BA, count_BA, anchor_sample_A, objective
            )
        )
    bound = (weight_BA * objective.bound(loss_BA, positive_BA, count_BA)).sum()
    return Contrast(loss, bound.detach())


def _choose(kernel: Kernel, relation: Relation, query_BD: Tensor) -> Callable[[Problem], tuple[Tensor, Tensor, Tensor]]:
    if kernel == "oracle":
        return oracle.contrast
    suits = isinstance(relation, Difference) and query_BD.dtype == torch.float32
    if kernel == "triton" or (kernel == "auto" and suits and query_BD.is_cuda and find_spec("triton") is not None):
        if not suits:
            raise CrcdError("the triton kernel takes float32 elements and the difference relation: use kernel='auto'")
        try:
            from crcd.relation.kernels import triton
        except ModuleNotFoundError as error:
            raise CrcdError("the triton kernel needs triton, which is not installed: use kernel='auto'") from error
        return triton.contrast
    on_cpu = suits and query_BD.device.type == "cpu"
    if kernel == "native" or (kernel == "auto" and on_cpu and native.available()):
        if not on_cpu:
            raise CrcdError(
                "the native kernel takes float32 elements on the CPU and the difference relation: use kernel='auto'"
            )
        return native.contrast
    return streaming.contrast
