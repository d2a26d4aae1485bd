"""The Triton kernels of the gradients of the mlp relation's matrices; see ``mlp_kernels``."""

import triton
import triton.language as tl

from crcd.relation.kernels.triton.common import dot3, numerator, split
from crcd.relation.kernels.triton.mlp_common import hidden_units, load_2, mask_logits


@triton.jit  # type: ignore[untyped-decorator]
def d_out_kernel(  # type: ignore[no-untyped-def]
    unit_ptr,
    inverse_norm_ptr,
    q_ptr,
    q_transposed_ptr,
    excluded_ptr,
    mask_ptr,
    offset_ptr,
    factor_ptr,
    d_out_ptr,
    batch,
    k_count,
    width: tl.constexpr,
    scale: tl.constexpr,
    masked: tl.constexpr,
    infonce: tl.constexpr,
    has_excluded: tl.constexpr,
    block_b: tl.constexpr,
    block_k: tl.constexpr,
    block_e: tl.constexpr,
    block_d: tl.constexpr,
):
    """Gradient dL / dout_k, [anchor, K, E]; a program has a tile of keys and an anchor, and walks over samples."""
    k = tl.program_id(0) * block_k + tl.arange(0, block_k)
    j = tl.program_id(1).to(tl.int64)
    e = tl.arange(0, block_e)
    k_ok, e_ok = k < k_count, e < width
    unit_ptr += (j * k_count + k)[:, None] * width
    mask_ptr += j * k_count
    d_unit_ke = tl.zeros([block_k, block_e], tl.float32)
    for first in range(0, batch, block_b):
        i = first + tl.arange(0, block_b)
        i_ok = i < batch
        pair = j * batch + i
        logit = tl.zeros([block_b, block_k], tl.float32)
        for first_e in range(0, width, block_d):
            d = first_e + tl.arange(0, block_d)
            unit_kd = tl.load(unit_ptr + d, mask=k_ok[:, None] & (d < width), other=0.0)
            q_place = (2 * j * batch + i)[:, None] * width + d
            q_big, q_small = load_2(q_ptr, batch * width, q_place, i_ok[:, None] & (d < width))
            unit_big, unit_small = split(unit_kd)
            logit = dot3(q_big, q_small, tl.trans(unit_big), tl.trans(unit_small), logit)
        logit *= scale
        if not infonce:
            logit -= tl.load(offset_ptr + pair, mask=i_ok, other=0.0)[:, None]
        logit = mask_logits(logit, excluded_ptr, mask_ptr, i, k, batch, k_count, masked, has_excluded)
        e_bk, _ = numerator(logit, infonce)
        g_kb = tl.trans(e_bk * tl.load(factor_ptr + pair, mask=i_ok, other=0.0)[:, None])
        q_transposed_place = (2 * j * width + e)[:, None] * batch + i
        q_big, q_small = load_2(q_transposed_ptr, batch * width, q_transposed_place, e_ok[:, None] & i_ok)
        d_unit_ke = dot3(*split(g_kb), tl.trans(q_big), tl.trans(q_small), d_unit_ke)
    ok = k_ok[:, None] & e_ok
    unit_ke = tl.load(unit_ptr + e, mask=ok, other=0.0)
    inverse_norm = tl.load(inverse_norm_ptr + j * k_count + k, mask=k_ok, other=0.0)
    d_out_ke = (d_unit_ke - unit_ke * tl.sum(unit_ke * d_unit_ke, axis=1)[:, None]) * inverse_norm[:, None]
    tl.store(d_out_ptr + (j * k_count + k)[:, None] * width + e, d_out_ke, mask=ok)


@triton.jit  # type: ignore[untyped-decorator]
def d_hidden_kernel(  # type: ignore[no-untyped-def]
    u_ptr,
    v_ptr,
    w_transposed_ptr,
    d_out_ptr,
    du_ptr,
    dv_ptr,
    count,
    anchors,
    k_count,
    hidden: tl.constexpr,
    width: tl.constexpr,
    block_k: tl.constexpr,
    block_h: tl.constexpr,
    block_d: tl.constexpr,
):
    """Gradient dL / d(U a_j), in parts [tile of keys, anchor, H], and minus dL / d(V t_k), [K, H], which is added to.

    A program has a tile of keys and of H, and walks over ``count`` anchors.
    """
    k = tl.program_id(0) * block_k + tl.arange(0, block_k)
    h = tl.program_id(1) * block_h + tl.arange(0, block_h)
    k_ok, h_ok = k < k_count, h < hidden
    dv_ptr += k.to(tl.int64)[:, None] * hidden + h
    ok = k_ok[:, None] & h_ok
    dv_kh = tl.load(dv_ptr, mask=ok, other=0.0)
    for j in range(0, count):
        d_hidden_kh = tl.zeros([block_k, block_h], tl.float32)
        for first in range(0, width, block_d):
            d = first + tl.arange(0, block_d)
            place = (j * tl.cast(k_count, tl.int64) + k)[:, None] * width + d
            d_out_kd = tl.load(d_out_ptr + place, mask=k_ok[:, None] & (d < width), other=0.0)
            place = h[:, None] * width + d
            w_big, w_small = load_2(w_transposed_ptr, width * hidden, place, h_ok[:, None] & (d < width))
            d_hidden_kh = dot3(*split(d_out_kd), tl.trans(w_big), tl.trans(w_small), d_hidden_kh)
        d_hidden_kh = tl.where(hidden_units(u_ptr + j * hidden, v_ptr, k, h, k_count, hidden) > 0, d_hidden_kh, 0.0)
        dv_kh += d_hidden_kh
        du = tl.sum(d_hidden_kh, axis=0)
        tl.store(du_ptr + (tl.program_id(0).to(tl.int64) * anchors + j) * hidden + h, du, mask=h_ok)
    tl.store(dv_ptr, dv_kh, mask=ok)


@triton.jit  # type: ignore[untyped-decorator]
def dw_kernel(  # type: ignore[no-untyped-def]
    u_ptr,
    v_ptr,
    d_out_ptr,
    dw_ptr,
    count,
    k_count,
    hidden: tl.constexpr,
    width: tl.constexpr,
    share,
    block_e: tl.constexpr,
    block_h: tl.constexpr,
    block_d: tl.constexpr,
):
    """Gradient dL / dW in parts, [share of the keys, E, H], which are added to; over ``count`` anchors."""
    e = tl.program_id(0) * block_e + tl.arange(0, block_e)
    h = tl.program_id(1) * block_h + tl.arange(0, block_h)
    e_ok = e < width
    ok = e_ok[:, None] & (h < hidden)
    dw_ptr += (tl.program_id(2).to(tl.int64) * width + e)[:, None] * hidden + h
    dw_eh = tl.load(dw_ptr, mask=ok, other=0.0)
    start = tl.program_id(2) * share
    stop = tl.minimum(start + share, k_count)
    for j in range(0, count):
        for first in range(start, stop, block_d):
            k = first + tl.arange(0, block_d)
            place = (j * tl.cast(k_count, tl.int64) + k)[:, None] * width + e
            d_out_ke = tl.load(d_out_ptr + place, mask=(k < stop)[:, None] & e_ok, other=0.0)
            hidden_kh = hidden_units(u_ptr + j * hidden, v_ptr, k, h, stop, hidden)
            dw_eh = dot3(*split(tl.trans(d_out_ke)), *split(hidden_kh), dw_eh)
    tl.store(dw_ptr, dw_eh, mask=ok)
