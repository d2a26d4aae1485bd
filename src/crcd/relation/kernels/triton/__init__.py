"""The relation contrast on a GPU, with Triton."""

import torch
import triton
from torch import Tensor

from crcd.errors import CrcdError
from crcd.relation.kernels.difference import Geometry
from crcd.relation.kernels.pairs import with_gradients
from crcd.relation.kernels.problem import Problem
from crcd.relation.kernels.triton import difference_own, difference_shared, mlp
from crcd.relation.relations import MLP


def contrast(p: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """See ``crcd.relation.contrast.relation_contrast``; returns (sum of weight * loss, loss_BA, positive cosine_BA).

    Raises:
        CrcdError: the elements do not lie on a CUDA device (Triton's interpreter takes them anywhere).
    """
    if not p.query_BD.is_cuda and not triton.knobs.runtime.interpret:
        raise CrcdError("the triton kernel needs elements on a CUDA device: use kernel='auto'")
    with torch.cuda.device_of(p.query_BD):  # Triton launches on the current device
        return _contrast(p)


def _contrast(p: Problem) -> tuple[Tensor, Tensor, Tensor]:
    if isinstance(p.relation, MLP):
        return mlp.contrast(p, p.relation)
    with torch.no_grad():
        geometry = Geometry.of(p.query_BD, p.positive_BD, p.anchor_AD)
        passes = difference_shared if p.negatives.index_BK is None else difference_own
        sums = passes.sum_negatives(geometry, p)
        loss_BA, gradient_BD = geometry.finish(sums, p.objective, p.weight_BA, p.count_BA)
        loss = (p.weight_BA * loss_BA).sum()
    return with_gradients(loss, [(p.query_BD, gradient_BD)]), loss_BA, geometry.positive_BA
