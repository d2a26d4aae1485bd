"""The relation contrast of the difference relation in one pass on a GPU, with Triton.

One program has one sample and a tile of anchors. It walks over the sample's negatives tile by tile, keeps the tile's
cosines in registers and sums what ``difference.Sums`` names; the push on the sample is summed for every anchor,
sum_k E / n t_k, because its factor is known only after the last tile. Nothing of size B * A * K is written. Shared and
own negatives differ in one gather.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from crcd.errors import CrcdError
from crcd.relation.kernels.difference import Geometry, Sums
from crcd.relation.kernels.pairs import MAX_LOG_ODDS, with_gradients
from crcd.relation.kernels.problem import Problem
from crcd.relation.objectives import InfoNCE
from crcd.relation.relations import MIN_DISTANCE

ANCHORS, NEGATIVES = 64, 32
"""Sizes of a tile."""

PRECISION = "tf32x3"
"""Of the Gram products: three TF32 products on the tensor cores come near one float32 product."""

SMALLEST = 16
"""``tl.dot`` takes no smaller side."""


@triton.jit  # type: ignore[untyped-decorator]
def _difference_kernel(  # type: ignore[no-untyped-def]
    s_ptr,
    a_ptr,
    rows_ptr,
    centre_ptr,
    index_ptr,
    excluded_ptr,
    sample_ptr,
    anchor_sample_ptr,
    square_ptr,
    s_dot_a_ptr,
    inverse_m_ptr,
    positive_ptr,
    weight_ptr,
    offset_ptr,
    sums_ptr,
    push_ptr,
    batch,
    anchors,
    k_count,
    dim,
    temperature,
    min_square: tl.constexpr,
    max_log_odds: tl.constexpr,
    infonce: tl.constexpr,
    has_index: tl.constexpr,
    has_excluded: tl.constexpr,
    has_sample: tl.constexpr,
    block_a: tl.constexpr,
    block_k: tl.constexpr,
    block_d: tl.constexpr,
    precision: tl.constexpr,
):
    i = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1)
    j = tile * block_a + tl.arange(0, block_a)
    d = tl.arange(0, block_d)
    j_ok, d_ok = j < anchors, d < dim
    pair = i * anchors + j

    a_ad = tl.load(a_ptr + j[:, None] * dim + d, mask=j_ok[:, None] & d_ok, other=0.0)
    s_d = tl.load(s_ptr + i * dim + d, mask=d_ok, other=0.0)
    centre_d = tl.load(centre_ptr + d, mask=d_ok, other=0.0)
    square_a = tl.load(square_ptr + j, mask=j_ok, other=1.0)
    s_dot_a = tl.load(s_dot_a_ptr + pair, mask=j_ok, other=0.0)
    inverse_m = tl.load(inverse_m_ptr + pair, mask=j_ok, other=0.0)
    scale_a = inverse_m / temperature
    if has_sample:
        anchor_sample = tl.load(anchor_sample_ptr + j, mask=j_ok, other=-1)
    if not infonce:
        offset_a = tl.load(offset_ptr + pair, mask=j_ok, other=0.0)

    e_sum = tl.zeros([block_a], tl.float32)
    negative_loss = tl.zeros([block_a], tl.float32)
    turn = tl.zeros([block_a], tl.float32)
    pull = tl.zeros([block_a], tl.float32)
    push_ad = tl.zeros([block_a, block_d], tl.float32)
    for first in range(0, k_count, block_k):
        k = first + tl.arange(0, block_k)
        k_ok = k < k_count
        row = k.to(tl.int64)
        if has_index:
            row = tl.load(index_ptr + i * k_count + k, mask=k_ok, other=0)
        t_kd = tl.load(rows_ptr + row[:, None] * dim + d, mask=k_ok[:, None] & d_ok, other=0.0) - centre_d
        usable = k_ok
        if has_excluded:
            usable = usable & (tl.load(excluded_ptr + i * k_count + k, mask=k_ok, other=1) == 0)
        usable_ak = usable[None, :] & j_ok[:, None]
        if has_sample:
            sample_k = tl.load(sample_ptr + row, mask=k_ok, other=-1)
            usable_ak = usable_ak & ((anchor_sample[:, None] != sample_k) | (sample_k < 0))

        a_dot_t = tl.dot(a_ad, tl.trans(t_kd), input_precision=precision)
        s_dot_t = tl.sum(t_kd * s_d, axis=1)
        t_square = tl.sum(t_kd * t_kd, axis=1)
        n_square = tl.maximum(t_square - 2 * a_dot_t + square_a[:, None], min_square)
        inverse_n = tl.rsqrt(n_square)
        product = s_dot_t - s_dot_a[:, None] - a_dot_t + square_a[:, None]
        logit = product * inverse_n * scale_a[:, None]
        if infonce:
            e = tl.where(usable_ak, tl.exp(logit), 0.0)
        else:
            odds = tl.exp(tl.minimum(logit - offset_a[:, None], max_log_odds))
            e = tl.where(usable_ak, odds / (1 + odds), 0.0)
            negative_loss += tl.sum(tl.where(usable_ak, tl.log(1 + odds), 0.0), axis=1)
        e_sum += tl.sum(e, axis=1)
        turn += tl.sum(e * logit, axis=1)
        h = e * inverse_n
        pull += tl.sum(h, axis=1)
        push_ad += tl.dot(h, t_kd, input_precision=precision)

    factor = tl.load(weight_ptr + pair, mask=j_ok, other=0.0) / temperature
    if infonce:
        factor = factor / (e_sum + tl.exp(tl.load(positive_ptr + pair, mask=j_ok, other=0.0) / temperature))
    push_d = tl.sum((factor * inverse_m)[:, None] * push_ad, axis=0)
    tl.store(push_ptr + (tile * batch + i) * dim + d, push_d, mask=d_ok)
    pairs = batch * anchors
    tl.store(sums_ptr + pair, e_sum, mask=j_ok)
    tl.store(sums_ptr + pairs + pair, negative_loss, mask=j_ok)
    tl.store(sums_ptr + 2 * pairs + pair, turn, mask=j_ok)
    tl.store(sums_ptr + 3 * pairs + pair, pull, mask=j_ok)


def contrast(p: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """See ``crcd.relation.contrast.relation_contrast``; returns (sum of weight * loss, loss_BA, positive cosine_BA).

    Raises:
        CrcdError: the elements do not lie on a CUDA device (Triton's interpreter takes them anywhere).
    """
    if not p.query_BD.is_cuda and not triton.knobs.runtime.interpret:
        raise CrcdError("the triton kernel needs elements on a CUDA device: use kernel='auto'")
    with torch.no_grad():
        geometry = Geometry.of(p.query_BD, p.positive_BD, p.anchor_AD)
        sums = _sum(geometry, p)
        loss_BA, gradient_BD = geometry.finish(sums, p.objective, p.weight_BA, p.count_BA)
        loss = (p.weight_BA * loss_BA).sum()
    return with_gradients(loss, [(p.query_BD, gradient_BD)]), loss_BA, geometry.positive_BA


def _sum(geometry: Geometry, p: Problem) -> Sums:
    negatives, objective, anchor_sample_A = p.negatives, p.objective, p.anchor_sample_A
    (batch, dim), anchors = geometry.s_BD.shape, len(geometry.a_AD)
    block_a = min(ANCHORS, max(SMALLEST, triton.next_power_of_2(anchors)))
    tiles = triton.cdiv(anchors, block_a)
    sums_4BA = geometry.s_BD.new_empty(4, batch, anchors)
    push_TBD = geometry.s_BD.new_empty(tiles, batch, dim)
    excluded_BK = None if negatives.excluded_BK is None else negatives.excluded_BK.to(torch.int8)
    masks_anchors = anchor_sample_A is not None and negatives.sample is not None
    infonce = isinstance(objective, InfoNCE)
    offset_BA = None if isinstance(objective, InfoNCE) else objective.offset(p.count_BA).to(geometry.s_BD.dtype)
    launch: Any = _difference_kernel[(batch, tiles)]
    launch(
        *_contiguous(geometry.s_BD, geometry.a_AD, negatives.rows.detach(), geometry.centre_D),
        *_contiguous(negatives.index_BK, excluded_BK, negatives.sample, anchor_sample_A),
        *_contiguous(geometry.square_A, geometry.s_dot_a_BA, geometry.inverse_m_BA, geometry.positive_BA),
        *_contiguous(p.weight_BA, offset_BA, sums_4BA, push_TBD),
        batch,
        anchors,
        len(negatives),
        dim,
        objective.temperature,
        min_square=MIN_DISTANCE**2,
        max_log_odds=MAX_LOG_ODDS,
        infonce=infonce,
        has_index=negatives.index_BK is not None,
        has_excluded=excluded_BK is not None,
        has_sample=masks_anchors,
        block_a=block_a,
        block_k=NEGATIVES,
        block_d=max(SMALLEST, triton.next_power_of_2(dim)),
        precision=PRECISION,
    )
    e_BA, negative_loss_BA, turn_BA, pull_BA = sums_4BA
    return Sums(e_BA, negative_loss_BA, turn_BA, pull_BA, push_TBD.sum(dim=0))


def _contiguous(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if tensor is None else tensor.contiguous() for tensor in tensors]
