"""What the Triton kernels share: the softmax's numerator or the sigmoid, in base 2, and how operands are handed over."""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from crcd.relation.kernels.problem import Problem
from crcd.relation.objectives import InfoNCE

LN_2 = math.log(2)

PRECISION = "tf32x3"
"""Of products on the tensor cores: three TF32 products come near one float32 product."""

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
