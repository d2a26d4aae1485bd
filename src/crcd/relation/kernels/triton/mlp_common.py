"""What the Triton kernels of the mlp relation share."""

import triton
import triton.language as tl


@triton.jit
def load_2(ptr, half, place, ok):  # type: ignore[no-untyped-def]
    """Both numbers of an operand that ``split_2`` made."""
    return tl.load(ptr + place, mask=ok, other=0.0), tl.load(ptr + half + place, mask=ok, other=0.0)


@triton.jit
def hidden_units(u_ptr, v_ptr, k, h, k_count, hidden):  # type: ignore[no-untyped-def]
    """ReLU(U a_j - V t_k), [k, h]; 0 outside."""
    ok = (k < k_count)[:, None] & (h < hidden)
    u_h = tl.load(u_ptr + h, mask=h < hidden, other=0.0)
    v_kh = tl.load(v_ptr + k[:, None] * hidden + h, mask=ok, other=0.0)
    return tl.where(ok, tl.maximum(u_h - v_kh, 0.0), 0.0)


@triton.jit  # type: ignore[untyped-decorator]
def mask_logits(  # type: ignore[no-untyped-def]
    logit_bk, excluded_ptr, mask_ptr, i, k, batch, k_count, masked: tl.constexpr, has_excluded: tl.constexpr
):
    """The logits, far below 0 where a key must not be used; ``mask_ptr`` is at the anchor's row."""
    logit_bk += tl.load(mask_ptr + k, mask=k < k_count, other=-masked)
    if has_excluded:
        ok = (i < batch)[:, None] & (k < k_count)
        excluded_bk = tl.load(excluded_ptr + i[:, None] * k_count + k, mask=ok, other=0)
        logit_bk = tl.where(excluded_bk != 0, -masked, logit_bk)
    return logit_bk
