"""The two sweeps of the mlp relation over a group's negatives; see ``mlp``."""

from typing import NamedTuple

import torch
import triton
from torch import Tensor

from crcd.relation.kernels.difference import MASKED
from crcd.relation.kernels.problem import Problem
from crcd.relation.kernels.triton.common import LN_2, SMALLEST, int8, log2_offset, split_2
from crcd.relation.kernels.triton.mlp_gradient_kernels import d_hidden_kernel, d_out_kernel, dw_kernel
from crcd.relation.kernels.triton.mlp_kernels import sums_kernel, units_kernel
from crcd.relation.objectives import InfoNCE
from crcd.relation.relations import MIN_NORM, MLP

RELATIONS = 2**22
"""Numbers of key relations that exist at once, unless one anchor has more: 16 MiB."""

PROGRAMS = 264
"""Of the sums over keys, about: two for each of an H100's 132 multiprocessors."""

STEP = 32
"""Of a product along its contracted side."""

UNIT_KEYS, SUM_KEYS, D_OUT_KEYS, D_HIDDEN_KEYS = 64, 16, 64, 128
"""Keys of a tile. The sums of 64 samples' query gradients leave registers for no more than 16."""

SUM_SAMPLES, D_OUT_SAMPLES = 64, 32
"""Samples of a tile."""

D_HIDDEN_UNITS, DW_UNITS, DW_WIDTH = 64, 64, 128
"""Numbers of H, and of E, of a program."""


class _Group(NamedTuple):
    """Samples with the same negatives, b of them, as kernels are given them: pairs are [A, b]."""

    rows_KD: Tensor
    v_KH: Tensor
    sample_K: Tensor | None
    excluded_bK: Tensor | None
    q_A2bE: Tensor
    offset_Ab: Tensor | None


class Sweeps:
    """The two sweeps over the negatives of a group: of the whole batch, or of sample ``group``."""

    def __init__(self, p: Problem, relation: MLP, q_BAE: Tensor) -> None:
        self.p, self.relation, self.q_BAE, self.offset_BA = p, relation, q_BAE, log2_offset(p)
        self.u_AH = p.anchor_AD @ relation.key_u.T
        self.w_2EH, self.w_2HE = split_2(relation.key_w), split_2(relation.key_w.T.contiguous())
        (self.width, self.hidden), self.anchors, self.k_count = relation.key_w.shape, len(self.u_AH), len(p.negatives)
        self.at_once = max(1, min(self.anchors, RELATIONS // (self.k_count * self.width)))
        self.chunks = [slice(j, min(j + self.at_once, self.anchors)) for j in range(0, self.anchors, self.at_once)]
        self.unit_AKE, self.d_out_AKE = self.u_AH.new_empty(2, self.at_once, self.k_count, self.width)
        self.inverse_norm_AK, self.mask_AK = self.u_AH.new_empty(2, self.at_once, self.k_count)
        self.block_e = max(SMALLEST, triton.next_power_of_2(self.width))
        self.masks = p.anchor_sample_A is not None and p.negatives.sample is not None
        self.pair_flags = {
            "masked": MASKED,
            "infonce": isinstance(p.objective, InfoNCE),
            "has_excluded": p.negatives.excluded_BK is not None,
        }
        self.scale = 1 / (LN_2 * p.objective.temperature)

    def _group(self, group: int) -> _Group:
        negatives = self.p.negatives
        shared = negatives.index_BK is None
        samples = slice(None) if shared else slice(group, group + 1)
        rows_KD = negatives.rows.detach() if negatives.index_BK is None else negatives.rows[negatives.index_BK[group]]
        sample_K = negatives.sample if self.masks else None
        if sample_K is not None:
            sample_K = sample_K.contiguous() if negatives.index_BK is None else sample_K[negatives.index_BK[group]]
        excluded_bK = None if negatives.excluded_BK is None else negatives.excluded_BK[samples].contiguous()
        offset_Ab = None if self.offset_BA is None else self.offset_BA[samples].T.contiguous()
        q_A2bE = split_2(self.q_BAE[samples].transpose(0, 1).contiguous())
        return _Group(rows_KD, rows_KD @ self.relation.key_v.T, sample_K, int8(excluded_bK), q_A2bE, offset_Ab)

    def _units(self, g: _Group, chunk: slice) -> None:
        wide = self.block_e > 128
        units_kernel[triton.cdiv(self.k_count, UNIT_KEYS), chunk.stop - chunk.start](
            self.u_AH[chunk],
            g.v_KH,
            self.w_2EH,
            g.sample_K,
            self.p.anchor_sample_A[chunk].contiguous() if self.masks and self.p.anchor_sample_A is not None else None,
            self.unit_AKE,
            self.inverse_norm_AK,
            self.mask_AK,
            self.k_count,
            self.hidden,
            self.width,
            min_norm_square=MIN_NORM**2,
            masked=MASKED,
            has_sample=self.masks,
            block_k=UNIT_KEYS,
            block_e=self.block_e,
            block_d=STEP,
            num_warps=8 if wide else 4,
            num_stages=2 if wide else 3,
        )

    def sums(self, group: int) -> tuple[Tensor, Tensor, Tensor]:
        """Of every pair of the group: sum_k E, the negatives' own loss, sum_k E unit_k; [b, A] and [b, A, E]."""
        g = self._group(group)
        batch = g.q_A2bE.shape[2]
        block_b = min(SUM_SAMPLES, max(SMALLEST, triton.next_power_of_2(batch)))
        sample_tiles = triton.cdiv(batch, block_b)
        share = SUM_KEYS * triton.cdiv(triton.cdiv(self.k_count, SUM_KEYS) * self.at_once * sample_tiles, PROGRAMS)
        splits = triton.cdiv(self.k_count, share)
        sums_2Ab = self.u_AH.new_empty(2, self.anchors, batch)
        dq_AbE = self.u_AH.new_empty(self.anchors, batch, self.width)
        for chunk in self.chunks:
            count = chunk.stop - chunk.start
            self._units(g, chunk)
            sums_S2Ab = self.u_AH.new_empty(splits, 2, count, batch)
            dq_SAbE = self.u_AH.new_empty(splits, count, batch, self.width)
            sums_kernel[count, sample_tiles, splits](
                self.unit_AKE,
                g.q_A2bE[chunk],
                g.excluded_bK,
                self.mask_AK,
                None if g.offset_Ab is None else g.offset_Ab[chunk],
                sums_S2Ab,
                dq_SAbE,
                batch,
                count,
                self.k_count,
                self.width,
                share,
                self.scale,
                **self.pair_flags,
                block_b=block_b,
                block_k=SUM_KEYS,
                block_e=self.block_e,
                num_warps=8 if self.block_e > 128 else 4,
                num_stages=2,
            )
            torch.sum(sums_S2Ab, dim=0, out=sums_2Ab[:, chunk])
            torch.sum(dq_SAbE, dim=0, out=dq_AbE[chunk])
        e_bA, negative_loss_bA = sums_2Ab.mT
        return e_bA, negative_loss_bA * LN_2, dq_AbE.transpose(0, 1)

    def gradients(self, group: int, factor_BA: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the group's negatives give to the gradients of U, V and W."""
        g = self._group(group)
        batch = g.q_A2bE.shape[2]
        factor_Ab = (factor_BA if batch == len(factor_BA) else factor_BA[group : group + 1]).T.contiguous()
        q_A2Eb = g.q_A2bE.mT.contiguous()
        key_tiles = triton.cdiv(self.k_count, D_HIDDEN_KEYS)
        dv_KH = torch.zeros_like(g.v_KH)
        du_TAH = self.u_AH.new_empty(key_tiles, *self.u_AH.shape)
        dw_tiles = triton.cdiv(self.width, DW_WIDTH), triton.cdiv(self.hidden, DW_UNITS)
        share = STEP * triton.cdiv(triton.cdiv(self.k_count, STEP) * dw_tiles[0] * dw_tiles[1], PROGRAMS)
        splits = triton.cdiv(self.k_count, share)
        dw_SEH = self.u_AH.new_zeros(splits, self.width, self.hidden)
        for chunk in self.chunks:
            count = chunk.stop - chunk.start
            self._units(g, chunk)
            d_out_kernel[triton.cdiv(self.k_count, D_OUT_KEYS), count](
                self.unit_AKE,
                self.inverse_norm_AK,
                g.q_A2bE[chunk],
                q_A2Eb[chunk],
                g.excluded_bK,
                self.mask_AK,
                None if g.offset_Ab is None else g.offset_Ab[chunk],
                factor_Ab[chunk],
                self.d_out_AKE,
                batch,
                self.k_count,
                self.width,
                self.scale,
                **self.pair_flags,
                block_b=min(D_OUT_SAMPLES, max(SMALLEST, triton.next_power_of_2(batch))),
                block_k=D_OUT_KEYS,
                block_e=self.block_e,
                block_d=STEP,
                num_warps=8,
                num_stages=2,
            )
            d_hidden_kernel[key_tiles, triton.cdiv(self.hidden, D_HIDDEN_UNITS)](
                self.u_AH[chunk],
                g.v_KH,
                self.w_2HE,
                self.d_out_AKE,
                du_TAH[:, chunk],
                dv_KH,
                count,
                self.anchors,
                self.k_count,
                self.hidden,
                self.width,
                block_k=D_HIDDEN_KEYS,
                block_h=D_HIDDEN_UNITS,
                block_d=STEP,
                num_warps=8,
                num_stages=3,
            )
            dw_kernel[*dw_tiles, splits](
                self.u_AH[chunk],
                g.v_KH,
                self.d_out_AKE,
                dw_SEH,
                count,
                self.k_count,
                self.hidden,
                self.width,
                share,
                block_e=DW_WIDTH,
                block_h=DW_UNITS,
                block_d=STEP,
                num_warps=8,
                num_stages=3,
            )
        return du_TAH.sum(dim=0).T @ self.p.anchor_AD, -dv_KH.T @ g.rows_KD, dw_SEH.sum(dim=0)
