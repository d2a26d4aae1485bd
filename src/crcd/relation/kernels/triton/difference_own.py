"""The difference relation with negatives of each sample's own, in one Triton kernel.

One program has a sample, a tile of anchors and a share of the sample's negatives, which it gathers tile by tile: every
row is read once. It sums what ``Sums`` names over its share; of the push it sums sum_k E_ijk / n_jk t_k for every
anchor, whose factor is known only when all shares are. So the largest thing written is [shares, B, A, D], whatever K
is: a second sweep for the push would gather all rows again, B * K * D numbers.

All sums have one fixed order: the same input gives the same bits.
"""

import triton
import triton.language as tl

from crcd.relation.kernels.difference import Geometry, Sums
from crcd.relation.kernels.pairs import factor
from crcd.relation.kernels.problem import Problem
from crcd.relation.kernels.triton.common import (
    LN_2,
    SMALLEST,
    contiguous,
    dot3,
    int8,
    log2_offset,
    numerator,
    split,
    split_2,
)
from crcd.relation.objectives import InfoNCE
from crcd.relation.relations import MIN_DISTANCE

ANCHORS, KEYS = 64, 16
"""Sizes of a tile. The sums of 64 anchors' pushes take 64 registers a thread; more keys do not fit beside them."""

WARPS, STAGES = 4, 2

PROGRAMS = 264
"""About: two for each of an H100's 132 multiprocessors."""


@triton.jit  # type: ignore[untyped-decorator]
def gather_kernel(  # type: ignore[no-untyped-def]
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
    scale_ptr,
    offset_ptr,
    sums_ptr,
    push_ptr,
    batch,
    anchors,
    k_count,
    dim: tl.constexpr,
    share,
    min_square: tl.constexpr,
    infonce: tl.constexpr,
    has_excluded: tl.constexpr,
    has_sample: tl.constexpr,
    block_a: tl.constexpr,
    block_k: tl.constexpr,
    block_d: tl.constexpr,
):
    """Over a share of a sample's negatives, for a tile of anchors: ``Sums``, but the push of each anchor by itself."""
    i = tl.program_id(0).to(tl.int64)
    j = tl.program_id(1) * block_a + tl.arange(0, block_a)
    d = tl.arange(0, block_d)
    j_ok, d_ok = j < anchors, d < dim
    pair = i * anchors + j

    a_ptr += j[:, None] * dim + d
    a_big = tl.load(a_ptr, mask=j_ok[:, None] & d_ok, other=0.0)
    a_small = tl.load(a_ptr + anchors * dim, mask=j_ok[:, None] & d_ok, other=0.0)
    s_d = tl.load(s_ptr + i * dim + d, mask=d_ok, other=0.0)
    centre_d = tl.load(centre_ptr + d, mask=d_ok, other=0.0)
    square_a = tl.load(square_ptr + j, mask=j_ok, other=1.0)
    s_dot_a = tl.load(s_dot_a_ptr + pair, mask=j_ok, other=0.0)
    scale = tl.load(scale_ptr + pair, mask=j_ok, other=0.0)
    offset = tl.zeros([block_a], tl.float32) if infonce else tl.load(offset_ptr + pair, mask=j_ok, other=0.0)
    if has_sample:
        anchor_sample = tl.load(anchor_sample_ptr + j, mask=j_ok, other=-1)

    e_sum = tl.zeros([block_a], tl.float32)
    turn = tl.zeros([block_a], tl.float32)
    pull = tl.zeros([block_a], tl.float32)
    negative_loss = tl.zeros([block_a], tl.float32)
    push_ad = tl.zeros([block_a, block_d], tl.float32)
    start = tl.program_id(2) * share
    stop = tl.minimum(start + share, k_count)
    for first in range(start, stop, block_k):
        k = first + tl.arange(0, block_k)
        k_ok = k < stop
        row = tl.load(index_ptr + i * k_count + k, mask=k_ok, other=0)
        t_kd = tl.load(rows_ptr + row[:, None] * dim + d, mask=k_ok[:, None] & d_ok, other=0.0) - centre_d
        usable = k_ok
        if has_excluded:
            usable &= tl.load(excluded_ptr + i * k_count + k, mask=k_ok, other=1) == 0
        if has_sample:
            sample_k = tl.load(sample_ptr + row, mask=k_ok, other=-1)
            usable = usable & ((anchor_sample[:, None] != sample_k) | (sample_k < 0))

        t_big, t_small = split(t_kd)
        a_dot_t = tl.zeros([block_a, block_k], tl.float32)
        a_dot_t = dot3(a_big, a_small, tl.trans(t_big), tl.trans(t_small), a_dot_t)
        s_dot_t = tl.sum(t_kd * s_d, axis=1)
        t_square = tl.sum(t_kd * t_kd, axis=1)
        inverse_n = tl.rsqrt(tl.maximum(t_square - 2 * a_dot_t + square_a[:, None], min_square))
        product = (s_dot_t - s_dot_a[:, None]) + (square_a[:, None] - a_dot_t)
        logit = product * inverse_n * scale[:, None] - offset[:, None]
        e, smaller_odds = numerator(logit, infonce)
        e = tl.where(usable, e, 0.0)
        h = e * inverse_n
        e_sum += tl.sum(e, axis=1)
        turn += tl.sum(e * logit, axis=1)
        pull += tl.sum(h, axis=1)
        if not infonce:
            log2_odds_1 = tl.maximum(logit, 0.0) + tl.log2(1 + smaller_odds)
            negative_loss += tl.sum(tl.where(usable, log2_odds_1, 0.0), axis=1)
        h_big, h_small = split(h)
        push_ad = dot3(h_big, h_small, t_big, t_small, push_ad)

    pairs = tl.cast(batch, tl.int64) * anchors
    part = tl.program_id(2)
    push_ptr += (part * pairs + pair)[:, None] * dim + d
    tl.store(push_ptr, push_ad, mask=j_ok[:, None] & d_ok)
    sums_ptr += part * 4 * pairs + pair
    tl.store(sums_ptr, e_sum, mask=j_ok)
    tl.store(sums_ptr + pairs, turn, mask=j_ok)
    tl.store(sums_ptr + 2 * pairs, pull, mask=j_ok)
    tl.store(sums_ptr + 3 * pairs, negative_loss, mask=j_ok)


def sum_negatives(g: Geometry, p: Problem) -> Sums:
    """The pass over negatives of each sample's own."""
    (batch, dim), anchors, k_count = g.s_BD.shape, len(g.a_AD), len(p.negatives)
    masks_anchors = p.anchor_sample_A is not None and p.negatives.sample is not None
    block_a = min(ANCHORS, max(SMALLEST, triton.next_power_of_2(anchors)))
    anchor_tiles, key_tiles = triton.cdiv(anchors, block_a), triton.cdiv(k_count, KEYS)
    share = KEYS * triton.cdiv(key_tiles * batch * anchor_tiles, PROGRAMS)
    splits = triton.cdiv(k_count, share)
    sums_S4BA = g.s_BD.new_empty(splits, 4, batch, anchors)
    push_SBAD = g.s_BD.new_empty(splits, batch, anchors, dim)
    offset_BA = log2_offset(p)
    gather_kernel[batch, anchor_tiles, splits](
        *contiguous(g.s_BD, split_2(g.a_AD), p.negatives.rows.detach(), g.centre_D),
        *contiguous(p.negatives.index_BK, int8(p.negatives.excluded_BK)),
        *(contiguous(p.negatives.sample, p.anchor_sample_A) if masks_anchors else (None, None)),
        *contiguous(g.square_A, g.s_dot_a_BA, g.inverse_m_BA / (LN_2 * p.objective.temperature), offset_BA),
        sums_S4BA,
        push_SBAD,
        batch,
        anchors,
        k_count,
        dim,
        share,
        min_square=MIN_DISTANCE**2,
        infonce=isinstance(p.objective, InfoNCE),
        has_excluded=p.negatives.excluded_BK is not None,
        has_sample=masks_anchors,
        block_a=block_a,
        block_k=KEYS,
        block_d=max(SMALLEST, triton.next_power_of_2(dim)),
        num_warps=WARPS,
        num_stages=STAGES,
    )
    e_BA, turn_BA, pull_BA, negative_loss_BA = sums_S4BA.sum(dim=0)
    turn_BA *= LN_2
    if offset_BA is not None:
        turn_BA += LN_2 * offset_BA * e_BA
    factor_BA = factor(p.objective, e_BA, g.positive_BA, p.weight_BA) * g.inverse_m_BA
    push_BD = (factor_BA[:, None] @ push_SBAD.sum(dim=0))[:, 0]
    return Sums(e_BA, LN_2 * negative_loss_BA, turn_BA, pull_BA, push_BD)
