"""What the Triton kernels share.

Logits are in base 2, because the special function units are. Matrix products run on the tensor cores in TF32: each
operand is split into two TF32 numbers, and three of the four products are summed in float32 (``dot3``). In Triton's
interpreter, which adds in float32, that is as accurate as a float32 product; what the tensor cores' own additions cost
has not been measured.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from crcd.relation.kernels.problem import Problem
from crcd.relation.objectives import InfoNCE

LN_2 = math.log(2)

SMALLEST = 16
"""No side of a tile of such a product may be smaller."""


@triton.jit  # type: ignore[untyped-decorator]
def numerator(logit, infonce: tl.constexpr):  # type: ignore[no-untyped-def]
    """E of logits in base 2, and (NCE) 2^-|logit|, with which log2(1 + 2^logit) = max(logit, 0) + log2(1 + 2^-|logit|).

    Nothing overflows. The reciprocal is made from a reciprocal square root: a division costs more instructions.
    """
    if infonce:
        e = tl.exp2(logit)
        smaller_odds = 0.0
    else:
        smaller_odds = tl.exp2(-tl.abs(logit))
        root = tl.rsqrt(1 + smaller_odds)
        e = tl.where(logit > 0, 1.0, smaller_odds) * (root * root)
    return e, smaller_odds


@triton.jit
def to_tf32(x):  # type: ignore[no-untyped-def]
    """The nearest number with TF32's 11 significant bits."""
    return ((x.to(tl.int32, bitcast=True) + 0x1000) & -0x2000).to(tl.float32, bitcast=True)


@triton.jit
def split(x):  # type: ignore[no-untyped-def]
    """X as a TF32 number and a TF32 remainder: 22 bits of its 24."""
    big = to_tf32(x)
    return big, to_tf32(x - big)


@triton.jit
def dot3(a_big, a_small, b_big, b_small, c):  # type: ignore[no-untyped-def]
    """A @ b + c of split numbers: three products on the tensor cores, float32 sums; small @ small is below 2^-22."""
    c = tl.dot(a_small, b_big, c, input_precision="tf32")
    c = tl.dot(a_big, b_small, c, input_precision="tf32")
    return tl.dot(a_big, b_big, c, input_precision="tf32")


def split_2(x: Tensor) -> Tensor:
    """The two numbers of ``split`` of matrices, made beforehand, [..., 2, rows, columns]."""

    def nearest(y: Tensor) -> Tensor:
        return ((y.view(torch.int32) + 0x1000) & -0x2000).view(torch.float32)

    big = nearest(x)
    return torch.stack([big, nearest(x - big)], dim=-3)


def round_up(count: int, multiple: int) -> int:
    """The smallest multiple that is not below the count."""
    return -(-count // multiple) * multiple


def contiguous(*tensors: Tensor | None) -> list[Tensor | None]:
    """The tensors as kernels index them."""
    return [None if tensor is None else tensor.contiguous() for tensor in tensors]


def int8(mask: Tensor | None) -> Tensor | None:
    """A mask as kernels read it."""
    return None if mask is None else mask.view(torch.int8)


def log2_offset(p: Problem) -> Tensor | None:
    """What the logit of a pair is lessened by, in base 2, [B, A]; None for InfoNCE, which has no such offset."""
    return None if isinstance(p.objective, InfoNCE) else p.objective.offset(p.count_BA).to(p.query_BD.dtype) / LN_2
