"""Relational knowledge distillation."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.method import Method
from crcd.relation.view import View

MIN_DISTANCE = 1e-6
"""Smallest distance by which is divided: two equal features have no direction between them."""


class Relations(NamedTuple):
    """Relations between the samples of a batch.

    Attributes:
        distance_BB: |f_i - f_j| over its mean over the pairs of two samples.
        angle_BBB: cosine of the angle at i between j and k, <e_ij, e_ik>, e_ij = (f_j - f_i) / |f_j - f_i|.
    """

    distance_BB: Tensor
    angle_BBB: Tensor


def relations(feature_BD: Tensor) -> Relations:
    """Distances and angles of a batch's features, [B, D]."""
    difference_BBD = feature_BD - feature_BD[:, None]
    length_BB = difference_BBD.square().sum(dim=2).clamp_min(MIN_DISTANCE**2).sqrt()
    direction_BBD = difference_BBD / length_BB[:, :, None]
    b = len(feature_BD)
    itself_BB = torch.eye(b, dtype=torch.bool, device=feature_BD.device)
    distance_BB = length_BB.masked_fill(itself_BB, 0)
    mean = distance_BB.sum() / max(1, b * (b - 1))
    return Relations(distance_BB / mean.clamp_min(MIN_DISTANCE), direction_BBD @ direction_BBD.transpose(1, 2))


def rkd_loss(student_feature_BD: Tensor, teacher_feature_BD: Tensor) -> tuple[Tensor, Tensor]:
    """Huber losses (delta 1) between distances, mean of B^2, and between angles, mean of B^3.

    The features' widths may differ.
    """
    student, teacher = relations(student_feature_BD), relations(teacher_feature_BD)
    distance = F.smooth_l1_loss(student.distance_BB, teacher.distance_BB)
    return distance, F.smooth_l1_loss(student.angle_BBB, teacher.angle_BBB)


@dataclass(frozen=True)
class RKDConfig:
    """Settings of relational knowledge distillation."""

    distance_weight: float = 25.0
    """Weight of the distances' loss beside cross-entropy of weight 1 (the CRD authors' benchmark)."""
    angle_weight: float = 50.0
    """Weight of the angles' loss (likewise)."""

    def __post_init__(self) -> None:
        for name in ("distance_weight", "angle_weight"):
            require(getattr(self, name) >= 0, f"rkd.{name}", getattr(self, name), "give a weight of 0 or more")


class RKD(Method):
    r"""Distances between samples and angles between triplets of them are the teacher's.

    .. math::
       w_D \, \mathrm{mean}_{ij} \, h(d^s_{ij} - d^t_{ij})
       + w_A \, \mathrm{mean}_{ijk} \, h(\alpha^s_{ijk} - \alpha^t_{ijk})

    d is a distance of penultimate features, [B, D], over the mean distance of the batch, alpha the cosine of the angle
    at i between j and k, h Huber's loss; w_D is ``distance_weight`` and w_A ``angle_weight``.

    Source: Park, Kim, Lu, Cho, CVPR 2019, arXiv 1904.05068, its distance-wise and angle-wise losses. They are means
    over all pairs and all triplets, also those in which a sample occurs twice, as in the CRD authors' benchmark; the
    paper writes sums.
    """

    def __init__(self, config: RKDConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def build(cls, config: RKDConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config)

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        distance, angle = rkd_loss(student.feature, teacher.feature.detach())
        loss = self.config.distance_weight * distance + self.config.angle_weight * angle
        return {"loss": loss, "rkd": loss.detach(), "distance": distance.detach(), "angle": angle.detach()}
