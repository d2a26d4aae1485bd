"""Neuron selectivity transfer."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.method import Method
from crcd.methods.stages import paired_stages, pooled_alike
from crcd.relation.view import View


def nst_loss(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """Squared maximum mean discrepancy between the channels of two maps under k(a, b) = <a, b>^2, mean of the batch.

    Of each sample: mean_ij k(s_i, s_j) + mean_ij k(t_i, t_j) - 2 mean_ij k(s_i, t_j), over all channels i and j, each
    channel's H W activations divided by their l2-norm.

    Args:
        student_map: [B, C_s, H, W].
        teacher_map: [B, C_t, H, W].
    """
    s_BCE, t_BCE = (F.normalize(each.flatten(2), dim=2) for each in (student_map, teacher_map))
    return mean_kernel(s_BCE, s_BCE) + mean_kernel(t_BCE, t_BCE) - 2 * mean_kernel(s_BCE, t_BCE)


def mean_kernel(a_BCE: Tensor, b_BCE: Tensor) -> Tensor:
    """Mean of <a_i, b_j>^2 over the samples and all their pairs of rows.

    Where fewer numbers are needed for it, from the rows' second moments, [E, E]:
    sum_ij <a_i, b_j>^2 = <A^T A, B^T B>.

    Args:
        a_BCE: [B, C_a, E].
        b_BCE: [B, C_b, E].
    """
    batch, rows_a, width = a_BCE.shape
    rows_b = b_BCE.shape[1]
    if rows_a * rows_b <= width**2:
        return (a_BCE @ b_BCE.mT).square().mean()
    return ((a_BCE.mT @ a_BCE) * (b_BCE.mT @ b_BCE)).sum() / (batch * rows_a * rows_b)


@dataclass(frozen=True)
class NSTConfig:
    """Settings of neuron selectivity transfer."""

    weight: float = 50.0
    """Weight of the stages' sum beside cross-entropy of weight 1 (the CRD authors' benchmark)."""

    def __post_init__(self) -> None:
        require(self.weight >= 0, "nst.weight", self.weight, "give a weight of 0 or more")


class NST(Method):
    r"""The student's channels are distributed as the teacher's.

    .. math:: \mathit{weight} \sum_{\text{stages}} \mathrm{MMD}^2

    .. math::
       \mathrm{MMD}^2 = \mathrm{mean}_{ij} \langle s_i, s_j \rangle^2 + \mathrm{mean}_{ij} \langle t_i, t_j \rangle^2
       - 2 \, \mathrm{mean}_{ij} \langle s_i, t_j \rangle^2

    A sample's channels are as many points, each the unit vector of its activations at the H W places of a stage's map,
    [B, C, H, W]; the maximum mean discrepancy between those of student and teacher is that of the polynomial kernel
    <a, b>^2 (``nst_loss``). Of the maps of a pair that differ in size the larger one is first pooled to the smaller
    one's size. Stages are paired from the last one back (``paired_stages``); those that only one network has are left
    out.

    Source: Huang and Wang 2017, arXiv 1707.01219. All stages and the pooling are those of the CRD authors' benchmark;
    the authors' code for ImageNet has the last stage alone, of one size in both networks.
    """

    uses_maps = True

    def __init__(self, config: NSTConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def build(cls, config: NSTConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        paired_stages(student, teacher)
        return cls(config)

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        losses = [nst_loss(*pooled_alike(*pair)) for pair in paired_stages(student, teacher)]
        loss = self.config.weight * torch.stack(losses).sum()
        return {"loss": loss, "nst": loss.detach()}
