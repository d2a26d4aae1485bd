"""The relation contrast of the difference relation on the CPU, with its two sweeps over the negatives in C.

Products of matrices are PyTorch's; what lies between them, a few operations for each of B * A * K cosines, is native.c.
The first sweep sums what ``difference.Sums`` names for each pair; with these the factors of the gradient are known, and
the second sweep makes the cosines again to sum over anchors. Neither keeps a cosine. Shared negatives are one block of
all samples; of own negatives a few samples are gathered at a time. The threads are PyTorch's own: others would have to
wait while those spin after a matrix product.
"""

import ctypes
import functools
import logging
import math
from pathlib import Path

import torch
from torch import Tensor

from crcd.errors import CrcdError
from crcd.relation.kernels import library
from crcd.relation.kernels.difference import Geometry, Sums
from crcd.relation.kernels.pairs import factor, with_gradients
from crcd.relation.kernels.problem import Problem
from crcd.relation.objectives import NCE

log = logging.getLogger(__name__)

BLOCK = 2**19
"""Own negatives: shifts at once; memory stays small."""

GRAIN = 2**17
"""Cosines for which another thread is woken: some 40 microseconds of work."""


def contrast(p: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """See ``crcd.relation.contrast.relation_contrast``; returns (sum of weight * loss, loss_BA, positive cosine_BA).

    Raises:
        CrcdError: native.c cannot be compiled here.
    """
    with torch.no_grad():
        geometry = Geometry.of(p.query_BD, p.positive_BD, p.anchor_AD)
        sums = _sum(geometry, p)
        loss_BA, gradient_BD = geometry.finish(sums, p.objective, p.weight_BA, p.count_BA)
        loss = (p.weight_BA * loss_BA).sum()
    return with_gradients(loss, [(p.query_BD, gradient_BD)]), loss_BA, geometry.positive_BA


@functools.cache
def available() -> bool:
    """Whether native.c can be compiled here; if not, the log says why, once."""
    try:
        _library()
    except CrcdError as error:
        log.warning("the relation loss on the CPU runs several times slower than it could: %s", error)
        return False
    return True


@functools.cache
def _library() -> ctypes.CDLL:
    loaded = library.load(Path(__file__).with_name("native.c"))
    for sweep in (loaded.crcd_sum, loaded.crcd_push):
        sweep.argtypes, sweep.restype = (ctypes.POINTER(_Block), ctypes.c_int64), None
    return loaded


class _Block(ctypes.Structure):
    """``Block`` of native.c."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("s_dot_t", "shift", "inverse_n", "s_dot_a", "scale", "offset")),
        *((name, ctypes.c_void_p) for name in ("factor", "sums", "push")),
        *((name, ctypes.c_int64) for name in ("nce", "batch", "anchors", "keys", "key_step")),
    ]


def _sum(g: Geometry, p: Problem) -> Sums:
    batch, anchors, k = len(g.s_BD), len(g.a_AD), len(p.negatives)
    size = batch if p.negatives.index_BK is None else max(1, BLOCK // (anchors * k))
    blocks = [_block(g, p, slice(i, i + size)) for i in range(0, batch, size)]
    sums_4bA, push_bD = zip(*blocks, strict=True)
    e_BA, negative_loss_BA, turn_BA, pull_BA = torch.cat(sums_4bA, dim=1)
    return Sums(e_BA, negative_loss_BA * math.log(2), turn_BA * math.log(2), pull_BA, torch.cat(push_bD))


def _block(g: Geometry, p: Problem, samples: slice) -> tuple[Tensor, Tensor]:
    """e, negative_loss, turn and pull, the second and third divided by log 2, [4, b, A], and push, [b, D]."""
    negatives, objective = p.negatives, p.objective
    t_bKD, s_dot_t_bK = g.candidates(negatives, samples)
    shift_baK, inverse_n_baK = g.keys(t_bKD, slice(0, len(g.a_AD)), negatives.is_anchor(p.anchor_sample_A, samples))
    scale_bA = g.inverse_m_BA[samples] / (objective.temperature * math.log(2))
    offset_bA = torch.zeros_like(scale_bA)
    if isinstance(objective, NCE):
        offset_bA += objective.offset(p.count_BA[samples]) / math.log(2)
    factor_bA, push_bK = torch.empty_like(scale_bA), torch.empty_like(s_dot_t_bK)
    sums_4bA = scale_bA.new_empty(4, *scale_bA.shape)
    (batch, anchors), keys = scale_bA.shape, len(negatives)
    block = _Block(
        *_pointers(s_dot_t_bK, shift_baK, inverse_n_baK, g.s_dot_a_BA[samples], scale_bA, offset_bA),
        *_pointers(factor_bA, sums_4bA, push_bK),
        *(isinstance(objective, NCE), batch, anchors, keys, 0 if negatives.index_BK is None else anchors * keys),
    )
    threads = _threads(batch, anchors, keys)
    _library().crcd_sum(block, threads)
    factor_bA.copy_(factor(objective, sums_4bA[0], g.positive_BA[samples], p.weight_BA[samples]))
    factor_bA *= g.inverse_m_BA[samples]
    _library().crcd_push(block, threads)
    push_bD = push_bK @ t_bKD if negatives.index_BK is None else (push_bK[:, None] @ t_bKD)[:, 0]
    return sums_4bA, push_bD


def _pointers(*tensors: Tensor) -> list[int]:
    assert all(tensor.is_contiguous() and tensor.dtype == torch.float32 for tensor in tensors)
    return [tensor.data_ptr() for tensor in tensors]


def _threads(batch: int, anchors: int, keys: int) -> int:
    """How many of PyTorch's threads share the work. What a number is made of does not depend on it."""
    return max(1, min(torch.get_num_threads(), batch * anchors * keys // GRAIN))
