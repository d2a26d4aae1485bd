"""Variational information distillation."""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.method import Method
from crcd.methods.stages import paired_stages, pooled_alike
from crcd.relation.view import View

INITIAL_VARIANCE = 5.0
"""Every channel's variance before the first step (the CRD authors' benchmark)."""
MIN_VARIANCE = 1e-5
"""Added to the variance that is learnt (likewise)."""


def vid_loss(mean_BCHW: Tensor, variance_C: Tensor, teacher_BCHW: Tensor) -> Tensor:
    """-log N(t; mean, variance) without its constant log(2 pi) / 2, nats, mean over all elements.

    That is ((t - mean)^2 / variance + log variance) / 2; it may be negative.
    """
    variance_C11 = variance_C[:, None, None]
    return 0.5 * ((teacher_BCHW - mean_BCHW).square() / variance_C11 + variance_C11.log()).mean()


class Prediction(nn.Module):
    """Gaussian q(t | s) of a teacher's map given the student's: a mean at every place, a variance of every channel.

    The mean is three 1x1 convolutions without bias, ReLU between them, all of the teacher's width; the variance of
    channel c is softplus(rho_c) + 1e-5.

    Args:
        student_channels: C_s.
        teacher_channels: C_t.
    """

    def __init__(self, student_channels: int, teacher_channels: int) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.Conv2d(student_channels, teacher_channels, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(teacher_channels, teacher_channels, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(teacher_channels, teacher_channels, 1, bias=False),
        )
        rho = math.log(math.expm1(INITIAL_VARIANCE - MIN_VARIANCE))
        self.rho_C = nn.Parameter(torch.full((teacher_channels,), rho))

    def forward(self, student_map: Tensor) -> tuple[Tensor, Tensor]:
        """Mean, [B, C_t, H, W], and variance, [C_t], for a map [B, C_s, H, W]."""
        return self.mean(student_map), F.softplus(self.rho_C) + MIN_VARIANCE


@dataclass(frozen=True)
class VIDConfig:
    """Settings of variational information distillation."""

    weight: float = 1.0
    """Weight of the stages' sum beside cross-entropy of weight 1 (the CRD authors' benchmark)."""

    def __post_init__(self) -> None:
        require(self.weight >= 0, "vid.weight", self.weight, "give a weight of 0 or more")


class VID(Method):
    r"""The student's maps tell what the teacher's are: a lower bound of their mutual information I(t; s) is raised.

    .. math:: \mathit{weight} \sum_{\text{stages}} -\log q(t \mid s)

    t, [B, C_t, H, W], and s, [B, C_s, H, W], are a pair of stages' maps, q is a Gaussian with a trained mean of s and
    one trained variance a channel (``Prediction``, ``vid_loss``). Of the maps of a pair that differ in size the larger
    one is first pooled to the smaller one's size. Stages are paired from the last one back (``paired_stages``); those
    that only one network has are left out.

    Source: Ahn, Hu, Damianou, Lawrence and Dai, CVPR 2019, arXiv 1904.05835, with the mean's layers, the variance's
    start, the average over all elements and the pooling of the CRD authors' benchmark.
    """

    uses_maps = True

    def __init__(self, config: VIDConfig, channels: list[tuple[int, int]]) -> None:
        super().__init__()
        self.config = config
        self.predictions = nn.ModuleList(Prediction(student, teacher) for student, teacher in channels)

    @classmethod
    def build(cls, config: VIDConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config, [(s_map.shape[1], t_map.shape[1]) for s_map, t_map in paired_stages(student, teacher)])

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        losses = []
        for prediction, pair in zip(self.predictions, paired_stages(student, teacher), strict=True):
            student_map, teacher_map = pooled_alike(*pair)
            mean, variance_C = prediction(student_map)
            losses.append(vid_loss(mean, variance_C, teacher_map))
        loss = self.config.weight * torch.stack(losses).sum()
        return {"loss": loss, "vid": loss.detach()}
