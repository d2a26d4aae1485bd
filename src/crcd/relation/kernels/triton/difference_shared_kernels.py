"""The Triton kernels of the difference relation with shared negatives, which ``difference_shared`` launches.

The lanes of a sweep's warps stand along the last axis of its tile, and the first axis lies in each thread's registers.
Operands along the first axis are contiguous and come in 16-byte loads that all lanes share, those along the last in one
load of the warp; nothing crosses lanes and no load is masked. ``multiple_of`` of a tile's own addresses, which
tells less than is true, keeps the compiler from giving a thread four neighbours along the last axis instead.
"""

import triton
import triton.language as tl

from crcd.relation.kernels.triton.common import dot3, numerator, split


@triton.jit  # type: ignore[untyped-decorator]
def products_kernel(  # type: ignore[no-untyped-def]
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
    dim: tl.constexpr,
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
    """Gram products of a tile of keys with a tile of samples or, in the programs after those, of anchors."""
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
def sums_kernel(  # type: ignore[no-untyped-def]
    s_dot_t_ptr,
    shift_ptr,
    inverse_n_ptr,
    s_dot_a_ptr,
    scale_ptr,
    offset_ptr,
    sums_ptr,
    share,
    k_stop,
    padded_b,
    padded_a,
    infonce: tl.constexpr,
    fold: tl.constexpr,
    unroll: tl.constexpr,
    block_a: tl.constexpr,
    block_b: tl.constexpr,
):
    """Over a share of the keys, for a tile of pairs: sum E, E logit, E / n and, for NCE, the negatives' own loss."""
    j = tl.program_id(0) * block_a + tl.arange(0, block_a)
    i = tl.program_id(1) * block_b + tl.arange(0, block_b)
    pair = tl.multiple_of(j[:, None] * padded_b + i, [1, 1])
    s_dot_a = tl.load(s_dot_a_ptr + pair)
    scale = tl.load(scale_ptr + pair)
    offset = tl.zeros([block_a, block_b], tl.float32) if infonce else tl.load(offset_ptr + pair)

    e_sum = tl.zeros([block_a, block_b], tl.float32)
    turn = tl.zeros([block_a, block_b], tl.float32)
    pull = tl.zeros([block_a, block_b], tl.float32)
    negative_loss = tl.zeros([block_a, block_b], tl.float32)
    start = tl.program_id(2) * share
    stop = tl.minimum(share, k_stop - start)
    s_dot_t_ptr += start.to(tl.int64) * padded_b
    shift_ptr += start.to(tl.int64) * padded_a
    inverse_n_ptr += start.to(tl.int64) * padded_a
    for first in range(0, stop, fold):
        odds_1 = tl.full([block_a, block_b], 1.0, tl.float32)
        for turns in range(first, first + fold, unroll):
            for step in tl.static_range(unroll):
                k = turns + step
                s_dot_t = tl.load(s_dot_t_ptr + k * padded_b + i)
                inverse_n = tl.load(inverse_n_ptr + k * padded_a + j)[:, None]
                cosine_m = (s_dot_t - s_dot_a) * inverse_n + tl.load(shift_ptr + k * padded_a + j)[:, None]
                logit = cosine_m * scale - offset
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
def weights_kernel(  # type: ignore[no-untyped-def]
    s_dot_t_ptr,
    shift_ptr,
    inverse_n_ptr,
    s_dot_a_ptr,
    scale_ptr,
    offset_ptr,
    factor_ptr,
    weights_ptr,
    anchor_stop,
    padded_k,
    padded_b,
    infonce: tl.constexpr,
    unroll: tl.constexpr,
    block_k: tl.constexpr,
    block_b: tl.constexpr,
):
    """Over all anchors, for a tile of keys and samples: W. For InfoNCE 2^-offset is the pair's factor."""
    k = tl.program_id(0) * block_k + tl.arange(0, block_k)
    i = tl.program_id(1) * block_b + tl.arange(0, block_b)
    place = tl.multiple_of(k[:, None].to(tl.int64) * padded_b + i, [1, 1])
    s_dot_t = tl.load(s_dot_t_ptr + place)
    weights = tl.zeros([block_k, block_b], tl.float32)
    for turns in range(0, anchor_stop, unroll):
        for step in tl.static_range(unroll):
            key_ptr = (turns + step) * tl.cast(padded_k, tl.int64) + k
            sample_ptr = (turns + step) * padded_b + i
            inverse_n = tl.load(inverse_n_ptr + key_ptr)[:, None]
            cosine_m = (s_dot_t - tl.load(s_dot_a_ptr + sample_ptr)) * inverse_n + tl.load(shift_ptr + key_ptr)[:, None]
            e, _ = numerator(cosine_m * tl.load(scale_ptr + sample_ptr) - tl.load(offset_ptr + sample_ptr), infonce)
            if not infonce:
                e *= tl.load(factor_ptr + sample_ptr)
            weights += e * inverse_n
    tl.store(weights_ptr + place, weights)
