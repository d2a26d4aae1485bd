"""The Triton kernels of the mlp relation, which ``mlp`` launches for a few anchors at a time.

    hidden_k = ReLU(U a_j - V t_k);  out_k = W hidden_k;  unit_k = out_k / max(|out_k|, 1e-12);  cos_ik = q_ij.unit_k

Each is one matrix product with what comes before and after it, in steps of ``block_d`` along its contracted side, so
that neither registers nor shared memory grow with the widths, but for a relation's width E, at most 256. ReLU's inputs
are made anew from U a_j and V t_k wherever they are needed.
"""

import triton
import triton.language as tl

from crcd.relation.kernels.triton.common import dot3, numerator, split
from crcd.relation.kernels.triton.mlp_common import hidden_units, load_2, mask_logits


@triton.jit  # type: ignore[untyped-decorator]
def units_kernel(  # type: ignore[no-untyped-def]
    u_ptr,
    v_ptr,
    w_ptr,
    sample_ptr,
    anchor_sample_ptr,
    unit_ptr,
    inverse_norm_ptr,
    mask_ptr,
    k_count,
    hidden: tl.constexpr,
    width: tl.constexpr,
    min_norm_square: tl.constexpr,
    masked: tl.constexpr,
    has_sample: tl.constexpr,
    block_k: tl.constexpr,
    block_e: tl.constexpr,
    block_d: tl.constexpr,
):
    """unit_k, [anchor, K, E]; 1 / max(|out_k|, 1e-12); and -masked where the key is the anchor, else 0, [anchor, K].

    A program has a tile of keys and an anchor.
    """
    k = tl.program_id(0) * block_k + tl.arange(0, block_k)
    j = tl.program_id(1).to(tl.int64)
    e = tl.arange(0, block_e)
    k_ok, e_ok = k < k_count, e < width
    out_ke = tl.zeros([block_k, block_e], tl.float32)
    for first in range(0, hidden, block_d):
        h = first + tl.arange(0, block_d)
        place = e[:, None] * hidden + h
        w_big, w_small = load_2(w_ptr, width * hidden, place, e_ok[:, None] & (h < hidden))
        hidden_kh = hidden_units(u_ptr + j * hidden, v_ptr, k, h, k_count, hidden)
        out_ke = dot3(*split(hidden_kh), tl.trans(w_big), tl.trans(w_small), out_ke)
    inverse_norm = tl.rsqrt(tl.maximum(tl.sum(out_ke * out_ke, axis=1), min_norm_square))
    place = j * k_count + k
    tl.store(inverse_norm_ptr + place, inverse_norm, mask=k_ok)
    mask = tl.zeros([block_k], tl.float32)
    if has_sample:
        sample_k = tl.load(sample_ptr + k, mask=k_ok, other=-1)
        mask = tl.where((sample_k == tl.load(anchor_sample_ptr + j)) & (sample_k >= 0), -masked, 0.0)
    tl.store(mask_ptr + place, mask, mask=k_ok)
    tl.store(unit_ptr + place[:, None] * width + e, out_ke * inverse_norm[:, None], mask=k_ok[:, None] & e_ok)


@triton.jit  # type: ignore[untyped-decorator]
def sums_kernel(  # type: ignore[no-untyped-def]
    unit_ptr,
    q_ptr,
    excluded_ptr,
    mask_ptr,
    offset_ptr,
    sums_ptr,
    dq_ptr,
    batch,
    anchors,
    k_count,
    width: tl.constexpr,
    share,
    scale: tl.constexpr,
    masked: tl.constexpr,
    infonce: tl.constexpr,
    has_excluded: tl.constexpr,
    block_b: tl.constexpr,
    block_k: tl.constexpr,
    block_e: tl.constexpr,
):
    """Over a share of the keys, for an anchor and a tile of samples: sum_k E, the negatives' loss, sum_k E unit_k."""
    j = tl.program_id(0).to(tl.int64)
    i = tl.program_id(1) * block_b + tl.arange(0, block_b)
    e = tl.arange(0, block_e)
    i_ok, e_ok = i < batch, e < width
    pairs = tl.cast(anchors, tl.int64) * batch
    pair = j * batch + i
    unit_ptr += j * k_count * width
    mask_ptr += j * k_count
    q_place = (2 * j * batch + i)[:, None] * width + e
    q_big, q_small = load_2(q_ptr, batch * width, q_place, i_ok[:, None] & e_ok)
    offset = tl.zeros([block_b], tl.float32) if infonce else tl.load(offset_ptr + pair, mask=i_ok, other=0.0)

    e_sum = tl.zeros([block_b], tl.float32)
    negative_loss = tl.zeros([block_b], tl.float32)
    dq_be = tl.zeros([block_b, block_e], tl.float32)
    start = tl.program_id(2) * share
    for first in range(start, tl.minimum(start + share, k_count), block_k):
        k = first + tl.arange(0, block_k)
        place = k[:, None] * width + e
        unit_big, unit_small = split(tl.load(unit_ptr + place, mask=(k < k_count)[:, None] & e_ok, other=0.0))
        logit = tl.zeros([block_b, block_k], tl.float32)
        logit = dot3(q_big, q_small, tl.trans(unit_big), tl.trans(unit_small), logit) * scale - offset[:, None]
        logit = mask_logits(logit, excluded_ptr, mask_ptr, i, k, batch, k_count, masked, has_excluded)
        e_bk, smaller_odds = numerator(logit, infonce)
        e_sum += tl.sum(e_bk, axis=1)
        if not infonce:
            negative_loss += tl.sum(tl.maximum(logit, 0.0) + tl.log2(1 + smaller_odds), axis=1)
        dq_be = dot3(*split(e_bk), unit_big, unit_small, dq_be)

    part = tl.program_id(2)
    tl.store(sums_ptr + part * 2 * pairs + pair, e_sum, mask=i_ok)
    tl.store(sums_ptr + (part * 2 + 1) * pairs + pair, negative_loss, mask=i_ok)
    tl.store(dq_ptr + (part * pairs + pair)[:, None] * width + e, dq_be, mask=i_ok[:, None] & e_ok)
