"""Information theoretic representation distillation."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.method import Method
from crcd.relation.view import View

MIN_VARIANCE = 1e-12
"""Smallest variance by which is divided: a feature that is constant over a batch correlates with nothing."""


def correlation_loss(student_BD: Tensor, teacher_BD: Tensor, alpha: float) -> Tensor:
    """log2 sum_d |c_d - 1|^(2 alpha), c_d the correlation of both networks' feature d over the batch.

    c_d = sum_b s_bd t_bd / B of standardised features, whose variances divide by B - 1: c_d is at most (B - 1) / B.
    """
    c_D = (_standardised(student_BD) * _standardised(teacher_BD)).mean(dim=0)
    return (1 - c_D).pow(2 * alpha).sum().log2()


def _standardised(feature_BD: Tensor) -> Tensor:
    b = len(feature_BD)
    variance_D, mean_D = torch.var_mean(feature_BD, dim=0, correction=0)
    variance_D = variance_D * (b / max(1, b - 1))
    return (feature_BD - mean_D) / variance_D.clamp_min(MIN_VARIANCE).sqrt()


def mutual_information_loss(student_BD: Tensor, teacher_BE: Tensor) -> Tensor:
    """|G_s|_F^2 - |G_st|_F^2 of Gram matrices G_s and G_st = G_s * G_t (elementwise), each of trace 1.

    G, [B, B], are cosines between the samples' features: -log2 |G|_F^2 is a Renyi entropy of order 2, and the joint
    entropy minus the student's falls as the networks share more.
    """
    s_BD, t_BE = F.normalize(student_BD, dim=1), F.normalize(teacher_BE, dim=1)
    g_s_BB = s_BD @ s_BD.T
    g_st_BB = g_s_BB * (t_BE @ t_BE.T)
    return (g_s_BB / g_s_BB.trace()).square().sum() - (g_st_BB / g_st_BB.trace()).square().sum()


@dataclass(frozen=True)
class ITRDConfig:
    """Settings of ITRD: those of the authors' example for CIFAR-100 (WRN-40-2 teaches WRN-16-2)."""

    correlation_weight: float = 2.0
    """Weight of the correlation loss beside cross-entropy of weight 1 (authors)."""
    information_weight: float = 1.0
    """Weight of the mutual information loss (authors' example; their program's own default is 0.05)."""
    alpha: float = 1.01
    """Order alpha in the correlation loss (authors' example; their program's own default is 1.5)."""

    def __post_init__(self) -> None:
        for name, holds, advice in (
            ("correlation_weight", self.correlation_weight >= 0, "0 or more"),
            ("information_weight", self.information_weight >= 0, "0 or more"),
            ("alpha", self.alpha > 0.5, "more than 0.5"),
        ):
            require(holds, f"itrd.{name}", getattr(self, name), f"give {advice}")


class ITRD(Method):
    r"""Each feature correlates with the teacher's, and the samples' similarities share information with the teacher's.

    .. math::
       w_c \, \log_2 \sum_d |1 - c_d|^{2\alpha} \; + \; w_i \,
       \big( \lVert G_s \rVert_F^2 - \lVert G_{st} \rVert_F^2 \big)

    c_d is the correlation of both networks' feature d over the batch; G_s and G_st = G_s G_t, elementwise, are Gram
    matrices of cosines between samples, [B, B], each of trace 1; w_c is ``correlation_weight`` and w_i
    ``information_weight``. Both take penultimate features, [B, D]. The correlation loss embeds the student's linearly
    to the teacher's width; so does the other where the widths differ. The logarithm, and so the loss, falls below 0
    once the features correlate well.

    Source: Miles, Lopez-Rodriguez, Mikolajczyk, BMVC 2022, arXiv 2112.00459, in the form of the authors' code, whose
    mutual information loss leaves out the logarithms.
    Departure: a feature that does not vary over a batch counts as uncorrelated; the code divides by zero.
    """

    def __init__(self, config: ITRDConfig, student_dim: int, teacher_dim: int) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Linear(student_dim, teacher_dim)

    @classmethod
    def build(cls, config: ITRDConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config, student.feature.shape[1], teacher.feature.shape[1])

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        teacher_BD = teacher.feature.detach()
        embedded_BD = self.embed(student.feature)
        same_width = student.feature.shape == teacher_BD.shape
        correlation = correlation_loss(embedded_BD, teacher_BD, self.config.alpha)
        information = mutual_information_loss(student.feature if same_width else embedded_BD, teacher_BD)
        loss = self.config.correlation_weight * correlation + self.config.information_weight * information
        return {
            "loss": loss,
            "itrd": loss.detach(),
            "correlation": correlation.detach(),
            "information": information.detach(),
        }
