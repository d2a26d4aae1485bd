"""The difference relation with negatives that the whole batch shares, in three Triton kernels.

1. ``_products_kernel``: s.t_k, and (|a_j|^2 - a_j.t_k) / n_jk with 1 / n_jk, by Gram products on the tensor cores; keys
   that must not be used are folded in as -MASKED. Never more than [K, B] or [K, A].
2. ``_sums_kernel`` walks over keys with a tile of (sample, anchor) pairs in registers and sums what ``Sums`` names.
3. ``_weights_kernel`` walks over anchors with a tile of (key, sample) in registers and makes the cosines once more, now
   that each pair's factor is known: W_ik = sum_j factor_ij / m_ij E_ijk / n_jk, whose product with the keys is the push.

Both sweeps have one cosine take three FP32 instructions and one exp2, and what they sum another one to three; that is
what the special function units can follow (16 a clock and SM against 128 FP32 lanes), so they bound both. To keep loads,
reductions and barriers out of that balance, the lanes of a warp stand along a tile's last axis and its first axis lies
in one thread's registers: operands along it are contiguous and come in 16-byte loads that all lanes share, nothing
crosses lanes, and no load is masked because operands are padded to whole tiles. Hence 1 / n and its companion are kept
both as [K, A] and as [A, K].

All sums have one fixed order: the same input gives the same bits.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from crcd.relation.kernels.difference import MASKED, Geometry, Sums
from crcd.relation.kernels.pairs import factor
from crcd.relation.kernels.problem import Problem
from crcd.relation.kernels.triton.common import (
    LN_2,
    contiguous,
    dot3,
    int8,
    log2_offset,
    numerator,
    round_up,
    split,
)
from crcd.relation.objectives import InfoNCE
from crcd.relation.relations import MIN_DISTANCE

PRODUCT_KEYS, PRODUCT_ROWS, PRODUCT_DIM = 128, 64, 32
"""A tile of the Gram products: keys by samples or anchors, and how much of D is held at once."""

LANES = 64
"""Length of the sweeps' axis that lies across lanes: anchors of the first, samples of the second; two warps."""

SUM_SAMPLES, WEIGHT_KEYS = 16, 16
"""Length of the sweeps' axis that lies in a thread's registers."""

UNROLL = 4
"""Keys or anchors of one turn of a sweep's loop, whose loads go out together."""

FOLD = 64
"""Factors 1 + odds <= 2 that are multiplied before a logarithm is taken: it costs as much as twelve additions."""

PROGRAMS = 528
"""Of the first sweep, about: four for each of an H100's 132 multiprocessors; more would only write more partial sums."""


@triton.jit  # type: ignore[untyped-decorator]
def _products_kernel(  # type: ignore[no-untyped-def]
    t_ptr,
    s_ptr,
    a_ptr,
    excluded_ptr,
    sample_ptr,
    anchor_sample_ptr,
    s_dot_t_ptr,
    shift_ptr,
    inverse_n_ptr,
    shift_by_anchor_ptr,
    inverse_n_by_anchor_ptr,
    k_count,
    batch,
    anchors,
    dim,
    padded_k,
    padded_b,
    padded_a,
    min_square: tl.constexpr,
    masked: tl.constexpr,
    has_excluded: tl.constexpr,
    has_sample: tl.constexpr,
    block_k: tl.constexpr,
    block_r: tl.constexpr,
    block_d: tl.constexpr,
):
    k = (tl.program_id(0) * block_k + tl.arange(0, block_k)).to(tl.int64)
    k_ok = k < k_count
    sample_tiles = padded_b // block_r
    is_anchor = tl.program_id(1) >= sample_tiles
    tile = tl.program_id(1) - (sample_tiles if is_anchor else 0)
    r = tile * block_r + tl.arange(0, block_r)
    row_ptr = a_ptr if is_anchor else s_ptr
    r_ok = r < (anchors if is_anchor else batch)

    product = tl.zeros([block_k, block_r], tl.float32)
    t_square = tl.zeros([block_k], tl.float32)
    r_square = tl.zeros([block_r], tl.float32)
    for first in range(0, dim, block_d):
        d = first + tl.arange(0, block_d)
        d_ok = d < dim
        t_kd = tl.load(t_ptr + k[:, None] * dim + d, mask=k_ok[:, None] & d_ok, other=0.0)
        row_rd = tl.load(row_ptr + r[:, None] * dim + d, mask=r_ok[:, None] & d_ok, other=0.0)
        row_big, row_small = split(row_rd)
        product = dot3(*split(t_kd), tl.trans(row_big), tl.trans(row_small), product)
        t_square += tl.sum(t_kd * t_kd, axis=1)
        r_square += tl.sum(row_rd * row_rd, axis=1)

    if is_anchor:
        inverse_n = tl.rsqrt(tl.maximum(t_square[:, None] - 2 * product + r_square, min_square))
        shift = (r_square - product) * inverse_n
        if has_sample:
            sample_k = tl.load(sample_ptr + k, mask=k_ok, other=-1)
            anchor_sample = tl.load(anchor_sample_ptr + r, mask=r_ok, other=-1)
            shift = tl.where((sample_k[:, None] == anchor_sample) & (sample_k >= 0)[:, None], -masked, shift)
        tl.store(shift_ptr + k[:, None] * padded_a + r, shift)
        tl.store(inverse_n_ptr + k[:, None] * padded_a + r, inverse_n)
        tl.store(shift_by_anchor_ptr + r.to(tl.int64) * padded_k + k[:, None], shift)
        tl.store(inverse_n_by_anchor_ptr + r.to(tl.int64) * padded_k + k[:, None], inverse_n)
    else:
        usable = k_ok[:, None] & r_ok
        if has_excluded:
            usable &= tl.load(excluded_ptr + r.to(tl.int64) * k_count + k[:, None], mask=usable, other=1) == 0
        tl.store(s_dot_t_ptr + k[:, None] * padded_b + r, tl.where(usable, product, -masked))


@triton.jit  # type: ignore[untyped-decorator]
def _sums_kernel(  # type: ignore[no-untyped-def]
    s_dot_t_ptr,
    shift_ptr,
    inverse_n_ptr,
    s_dot_a_ptr,
    scale_ptr,
    offset_ptr,
    sums_ptr,
    share,
    padded_k,
    padded_b,
    padded_a,
    infonce: tl.constexpr,
    fold: tl.constexpr,
    unroll: tl.constexpr,
    block_b: tl.constexpr,
    block_a: tl.constexpr,
):
    i = tl.program_id(0) * block_b + tl.arange(0, block_b)
    j = tl.program_id(1) * block_a + tl.arange(0, block_a)
    pair = tl.max_contiguous(j * padded_b + i[:, None], [1, 1])
    s_dot_a = tl.load(s_dot_a_ptr + pair)
    scale = tl.load(scale_ptr + pair)
    offset = tl.zeros([block_b, block_a], tl.float32) if infonce else tl.load(offset_ptr + pair)

    e_sum = tl.zeros([block_b, block_a], tl.float32)
    turn = tl.zeros([block_b, block_a], tl.float32)
    pull = tl.zeros([block_b, block_a], tl.float32)
    negative_loss = tl.zeros([block_b, block_a], tl.float32)
    start = tl.program_id(2) * share
    stop = tl.minimum(share, padded_k - start)
    s_dot_t_ptr += start.to(tl.int64) * padded_b
    shift_ptr += start.to(tl.int64) * padded_a
    inverse_n_ptr += start.to(tl.int64) * padded_a
    for first in range(0, stop, fold):
        odds_1 = tl.full([block_b, block_a], 1.0, tl.float32)
        for turns in range(first, first + fold, unroll):
            for step in tl.static_range(unroll):
                k = turns + step
                s_dot_t = tl.load(s_dot_t_ptr + k * padded_b + i)[:, None]
                inverse_n = tl.load(inverse_n_ptr + k * padded_a + j)
                logit = ((s_dot_t - s_dot_a) * inverse_n + tl.load(shift_ptr + k * padded_a + j)) * scale - offset
                e, smaller_odds = numerator(logit, infonce)
                e_sum += e
                turn += e * logit
                pull += e * inverse_n
                if not infonce:
                    negative_loss += tl.maximum(logit, 0.0)
                    odds_1 += odds_1 * smaller_odds
        if not infonce:
            negative_loss += tl.log2(odds_1)

    pairs = padded_a * padded_b
    sums_ptr += tl.program_id(2).to(tl.int64) * (3 if infonce else 4) * pairs + pair
    tl.store(sums_ptr, e_sum)
    tl.store(sums_ptr + pairs, turn)
    tl.store(sums_ptr + 2 * pairs, pull)
    if not infonce:
        tl.store(sums_ptr + 3 * pairs, negative_loss)


@triton.jit  # type: ignore[untyped-decorator]
def _weights_kernel(  # type: ignore[no-untyped-def]
    s_dot_t_ptr,
    shift_ptr,
    inverse_n_ptr,
    s_dot_a_ptr,
    scale_ptr,
    offset_ptr,
    factor_ptr,
    weights_ptr,
    padded_k,
    padded_b,
    padded_a,
    infonce: tl.constexpr,
    unroll: tl.constexpr,
    block_k: tl.constexpr,
    block_b: tl.constexpr,
):
    k = tl.program_id(0) * block_k + tl.arange(0, block_k)
    i = tl.program_id(1) * block_b + tl.arange(0, block_b)
    place = tl.max_contiguous(k[:, None].to(tl.int64) * padded_b + i, [1, 1])
    s_dot_t = tl.load(s_dot_t_ptr + place)
    weights = tl.zeros([block_k, block_b], tl.float32)
    for turns in range(0, padded_a, unroll):
        for step in tl.static_range(unroll):
            key_ptr = (turns + step) * padded_k.to(tl.int64) + k
            sample_ptr = (turns + step) * padded_b + i
            inverse_n = tl.load(inverse_n_ptr + key_ptr)[:, None]
            cosine_m = (s_dot_t - tl.load(s_dot_a_ptr + sample_ptr)) * inverse_n + tl.load(shift_ptr + key_ptr)[:, None]
            e, _ = numerator(cosine_m * tl.load(scale_ptr + sample_ptr) - tl.load(offset_ptr + sample_ptr), infonce)
            if not infonce:
                e *= tl.load(factor_ptr + sample_ptr)
            weights += e * inverse_n
    tl.store(weights_ptr + place, weights)


def sum_negatives(g: Geometry, p: Problem) -> Sums:
    """The pass over negatives that all samples share."""
    (batch, dim), anchors, k_count = g.s_BD.shape, len(g.a_AD), len(p.negatives)
    infonce, log2_e_per_tau = isinstance(p.objective, InfoNCE), 1 / (LN_2 * p.objective.temperature)
    padded_b, padded_a, padded_k = round_up(batch, LANES), round_up(anchors, LANES), round_up(k_count, PRODUCT_KEYS)
    shape = (padded_k, padded_b, padded_a)
    masks_anchors = p.anchor_sample_A is not None and p.negatives.sample is not None

    def padded(x_BA: Tensor, value: float = 0.0) -> Tensor:
        out_AB = x_BA.new_full((padded_a, padded_b), value)
        out_AB[:anchors, :batch] = x_BA.T
        return out_AB

    t_KD = p.negatives.rows.detach() - g.centre_D
    s_dot_t_KB = t_KD.new_empty(padded_k, padded_b)
    by_key_2KA = t_KD.new_empty(2, padded_k, padded_a)
    by_anchor_2AK = t_KD.new_empty(2, padded_a, padded_k)
    _products_kernel[padded_k // PRODUCT_KEYS, (padded_b + padded_a) // PRODUCT_ROWS](
        *contiguous(t_KD, g.s_BD, g.a_AD, int8(p.negatives.excluded_BK)),
        *(contiguous(p.negatives.sample, p.anchor_sample_A) if masks_anchors else (None, None)),
        s_dot_t_KB,
        *by_key_2KA,
        *by_anchor_2AK,
        k_count,
        batch,
        anchors,
        dim,
        *shape,
        min_square=MIN_DISTANCE**2,
        masked=MASKED,
        has_excluded=p.negatives.excluded_BK is not None,
        has_sample=masks_anchors,
        block_k=PRODUCT_KEYS,
        block_r=PRODUCT_ROWS,
        block_d=PRODUCT_DIM,
    )

    offset_BA = log2_offset(p)
    pair_operands = padded(g.s_dot_a_BA), padded(g.inverse_m_BA * log2_e_per_tau)
    pair_tiles = padded_b // SUM_SAMPLES, padded_a // LANES
    key_tiles = padded_k // PRODUCT_KEYS
    tiles_a_program = triton.cdiv(key_tiles * pair_tiles[0] * pair_tiles[1], PROGRAMS)
    splits = triton.cdiv(key_tiles, tiles_a_program)
    sums_SNAB = t_KD.new_empty(splits, 3 if infonce else 4, padded_a, padded_b)
    _sums_kernel[*pair_tiles, splits](
        s_dot_t_KB,
        *by_key_2KA,
        *pair_operands,
        None if offset_BA is None else padded(offset_BA),
        sums_SNAB,
        tiles_a_program * PRODUCT_KEYS,
        *shape,
        infonce=infonce,
        fold=FOLD,
        unroll=UNROLL,
        block_b=SUM_SAMPLES,
        block_a=LANES,
        num_warps=LANES // 32,
    )
    e_BA, turn_BA, pull_BA, *loss_BA = sums_SNAB.sum(dim=0)[:, :anchors, :batch].mT

    factor_BA = factor(p.objective, e_BA, g.positive_BA, p.weight_BA) * g.inverse_m_BA
    weights_KB = torch.empty_like(s_dot_t_KB)
    _weights_kernel[padded_k // WEIGHT_KEYS, padded_b // LANES](
        s_dot_t_KB,
        *by_anchor_2AK,
        *pair_operands,
        padded(-factor_BA.log2() if offset_BA is None else offset_BA, torch.inf),
        None if infonce else padded(factor_BA),
        weights_KB,
        *shape,
        infonce=infonce,
        unroll=UNROLL,
        block_k=WEIGHT_KEYS,
        block_b=LANES,
        num_warps=LANES // 32,
    )
    turn_BA = LN_2 * turn_BA
    if offset_BA is not None:
        turn_BA += LN_2 * offset_BA * e_BA
    push_BD = weights_KB[:k_count, :batch].T @ t_KD
    return Sums(e_BA, sum(loss_BA, e_BA.new_zeros(())) * LN_2, turn_BA, pull_BA, push_BD)
