"""The difference relation with negatives that the whole batch shares, in three Triton kernels and one product.

1. ``products_kernel``: s.t_k, and (|a_j|^2 - a_j.t_k) / n_jk with 1 / n_jk, by Gram products on the tensor cores; keys
   that must not be used are folded in as -MASKED. Nothing larger than [K, B] or [K, A].
2. ``sums_kernel`` walks over keys with a tile of (sample, anchor) pairs in registers and sums what ``Sums`` names.
3. ``weights_kernel`` walks over anchors with a tile of (key, sample) pairs in registers and makes the cosines again,
   now that each pair's factor is known: W_ik = sum_j factor_ij / m_ij E_ijk / n_jk. The push is W times the keys.

The special function units bound both sweeps: 16 results a clock and multiprocessor, so one exp2 takes as long as eight
FP32 instructions. A cosine of InfoNCE takes six of those and an exp2 in the first sweep, four and an exp2 in the
second, and each 16 cosines take nine and eleven loads. Hence the layout (see ``difference_shared_kernels``), for which
operands are padded to whole tiles, and 1 / n and its companion kept both as [K, A] and as [A, K]. NCE takes one more
special function, for the sigmoid.

All sums have one fixed order: the same input gives the same bits.
"""

from typing import NamedTuple

import torch
import triton
from torch import Tensor

from crcd.relation.kernels.difference import MASKED, Geometry, Sums
from crcd.relation.kernels.pairs import factor
from crcd.relation.kernels.problem import Problem
from crcd.relation.kernels.triton.common import (
    LN_2,
    contiguous,
    int8,
    log2_offset,
    round_up,
)
from crcd.relation.kernels.triton.difference_shared_kernels import products_kernel, sums_kernel, weights_kernel
from crcd.relation.relations import MIN_DISTANCE

PRODUCT_KEYS, PRODUCT_ROWS, PRODUCT_DIM = 128, 64, 32
"""A tile of the Gram products: keys by samples or anchors, and how much of D is held at once."""

LANES = 64
"""Samples of a sweep's tile, which lie across lanes: two warps."""

SUM_ANCHORS, WEIGHT_KEYS = 16, 16
"""The other side of the first and the second sweep's tile, which lies in a thread's registers."""

UNROLL = 4
"""Keys or anchors of one turn of a sweep's loop, whose loads go out together."""

FOLD = 64
"""Factors 1 + odds <= 2 that are multiplied before a logarithm is taken: it costs as much as twelve additions."""

PROGRAMS = 528
"""Of the first sweep, about: four for each of an H100's 132 multiprocessors; more only write more partial sums."""


class _Products(NamedTuple):
    """What the sweeps read, padded to whole tiles; -MASKED where a key must not be used.

    Attributes:
        s_dot_t_KB: s.t_k.
        by_key_2KA: (|a_j|^2 - a_j.t_k) / n_jk and 1 / n_jk.
        by_anchor_2AK: the same, transposed.
    """

    s_dot_t_KB: Tensor
    by_key_2KA: Tensor
    by_anchor_2AK: Tensor


def sum_negatives(g: Geometry, p: Problem) -> Sums:
    """The pass over negatives that all samples share."""
    batch, anchors, k_count = len(g.s_BD), len(g.a_AD), len(p.negatives)
    t_KD = p.negatives.rows.detach() - g.centre_D
    products = _products(g, p, t_KD)

    def padded(x_BA: Tensor, value: float = 0.0) -> Tensor:
        out_AB = x_BA.new_full((products.by_anchor_2AK.shape[1], products.s_dot_t_KB.shape[1]), value)
        out_AB[:anchors, :batch] = x_BA.T
        return out_AB

    offset_BA = log2_offset(p)
    pairs = (padded(g.s_dot_a_BA), padded(g.inverse_m_BA / (LN_2 * p.objective.temperature)))
    sums_NAB = _sums(products, *pairs, None if offset_BA is None else padded(offset_BA), k_count, anchors)
    e_BA, turn_BA, pull_BA, *negative_loss_BA = sums_NAB[:, :anchors, :batch].mT

    factor_BA = factor(p.objective, e_BA, g.positive_BA, p.weight_BA) * g.inverse_m_BA
    if offset_BA is None:  # the pair's factor goes into the exponent
        weights_KB = _weights(products, *pairs, padded(-factor_BA.log2(), torch.inf), None, k_count, anchors)
    else:
        turn_BA = turn_BA + offset_BA * e_BA
        offset_AB, factor_AB = padded(offset_BA, torch.inf), padded(factor_BA)
        weights_KB = _weights(products, *pairs, offset_AB, factor_AB, k_count, anchors)
    push_BD = weights_KB[:k_count, :batch].T @ t_KD
    return Sums(e_BA, LN_2 * sum(negative_loss_BA, e_BA.new_zeros(())), LN_2 * turn_BA, pull_BA, push_BD)


def _products(g: Geometry, p: Problem, t_KD: Tensor) -> _Products:
    masks_anchors = p.anchor_sample_A is not None and p.negatives.sample is not None
    padded_b, padded_a = round_up(len(g.s_BD), LANES), round_up(len(g.a_AD), PRODUCT_ROWS)
    padded_k = round_up(len(t_KD), PRODUCT_KEYS)
    products = _Products(
        t_KD.new_empty(padded_k, padded_b),
        t_KD.new_empty(2, padded_k, padded_a),
        t_KD.new_empty(2, padded_a, padded_k),
    )
    products_kernel[padded_k // PRODUCT_KEYS, (padded_b + padded_a) // PRODUCT_ROWS](
        *contiguous(t_KD, g.s_BD, g.a_AD, int8(p.negatives.excluded_BK)),
        *(contiguous(p.negatives.sample, p.anchor_sample_A) if masks_anchors else (None, None)),
        products.s_dot_t_KB,
        *products.by_key_2KA,
        *products.by_anchor_2AK,
        len(t_KD),
        len(g.s_BD),
        len(g.a_AD),
        t_KD.shape[1],
        padded_k,
        padded_b,
        padded_a,
        min_square=MIN_DISTANCE**2,
        masked=MASKED,
        has_excluded=p.negatives.excluded_BK is not None,
        has_sample=masks_anchors,
        block_k=PRODUCT_KEYS,
        block_r=PRODUCT_ROWS,
        block_d=PRODUCT_DIM,
        num_warps=8,
    )
    return products


def _sums(
    products: _Products, s_dot_a_AB: Tensor, scale_AB: Tensor, offset_AB: Tensor | None, k_count: int, anchors: int
) -> Tensor:
    """Sums of E, E logit, E / n and, with an offset, the negatives' own loss; logits in base 2; [3 or 4, A, B]."""
    (padded_k, padded_b), padded_a = products.s_dot_t_KB.shape, len(s_dot_a_AB)
    pair_tiles = triton.cdiv(anchors, SUM_ANCHORS), padded_b // LANES
    key_tiles = padded_k // PRODUCT_KEYS
    tiles_a_program = triton.cdiv(key_tiles * pair_tiles[0] * pair_tiles[1], PROGRAMS)
    splits = triton.cdiv(key_tiles, tiles_a_program)
    sums_SNAB = s_dot_a_AB.new_empty(splits, 3 if offset_AB is None else 4, padded_a, padded_b)
    sums_kernel[*pair_tiles, splits](
        products.s_dot_t_KB,
        *products.by_key_2KA,
        s_dot_a_AB,
        scale_AB,
        offset_AB,
        sums_SNAB,
        tiles_a_program * PRODUCT_KEYS,
        round_up(k_count, FOLD),
        padded_b,
        padded_a,
        infonce=offset_AB is None,
        fold=FOLD,
        unroll=UNROLL,
        block_a=SUM_ANCHORS,
        block_b=LANES,
        num_warps=LANES // 32,
    )
    return sums_SNAB.sum(dim=0)


def _weights(
    products: _Products,
    s_dot_a_AB: Tensor,
    scale_AB: Tensor,
    offset_AB: Tensor,
    factor_AB: Tensor | None,
    k_count: int,
    anchors: int,
) -> Tensor:
    padded_k, padded_b = products.s_dot_t_KB.shape
    weights_KB = torch.empty_like(products.s_dot_t_KB)
    weights_kernel[triton.cdiv(k_count, WEIGHT_KEYS), padded_b // LANES](
        products.s_dot_t_KB,
        *products.by_anchor_2AK,
        s_dot_a_AB,
        scale_AB,
        offset_AB,
        factor_AB,
        weights_KB,
        round_up(anchors, UNROLL),
        padded_k,
        padded_b,
        infonce=factor_AB is None,
        unroll=UNROLL,
        block_k=WEIGHT_KEYS,
        block_b=LANES,
        num_warps=LANES // 32,
    )
    return weights_KB
