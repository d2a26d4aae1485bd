"""Attention transfer."""

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


def attention(map_BCHW: Tensor) -> Tensor:
    """Each sample's mean square over the channels at every place, of l2-norm 1 over the places, [B, H W]."""
    return F.normalize(map_BCHW.square().mean(dim=1).flatten(1), dim=1)


def at_loss(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """Mean over samples and places of the squared difference of two attention maps.

    Args:
        student_map: [B, C_s, H, W].
        teacher_map: [B, C_t, H, W].
    """
    return F.mse_loss(attention(student_map), attention(teacher_map))


@dataclass(frozen=True)
class ATConfig:
    """Settings of attention transfer."""

    weight: float = 1000.0
    """Weight of the stages' sum beside cross-entropy of weight 1 (the authors' code and the CRD authors' benchmark)."""

    def __post_init__(self) -> None:
        require(self.weight >= 0, "at.weight", self.weight, "give a weight of 0 or more")


class AT(Method):
    r"""The student looks where the teacher does.

    .. math:: \mathit{weight} \sum_{\text{stages}} \frac{1}{B H W} \lVert q_s - q_t \rVert^2

    q, [B, H W], is a stage's map, [B, C, H, W], squared, averaged over its channels and divided by each sample's
    l2-norm. Of the maps of a pair that differ in size the larger one is first pooled to the smaller one's size.
    Stages are paired from the last one back (``paired_stages``); those that only one network has are left out.

    Source: Zagoruyko and Komodakis, ICLR 2017, arXiv 1612.03928, its activation-based attention with the square
    (p = 2), and the mean squared difference of the authors' code. Pooling is that of the CRD authors' benchmark.
    """

    uses_maps = True

    def __init__(self, config: ATConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def build(cls, config: ATConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        paired_stages(student, teacher)
        return cls(config)

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        losses = [at_loss(*pooled_alike(*pair)) for pair in paired_stages(student, teacher)]
        loss = self.config.weight * torch.stack(losses).sum()
        return {"loss": loss, "at": loss.detach()}
