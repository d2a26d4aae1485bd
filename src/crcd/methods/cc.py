"""Correlation congruence."""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.method import Method
from crcd.relation.view import View


def correlation(feature_BD: Tensor, gamma: float, order: int) -> Tensor:
    """exp(-2 gamma) sum_{p=0}^order (2 gamma)^p / p! <f_i, f_j>^p of unit features f, [B, B].

    The Taylor polynomial of the Gaussian kernel exp(-gamma |f_i - f_j|^2), whose exponent is 2 gamma (<f_i, f_j> - 1).
    """
    unit_BD = F.normalize(feature_BD, dim=1)
    scaled_BB = 2 * gamma * unit_BD @ unit_BD.T
    polynomial_BB = torch.ones_like(scaled_BB)
    for p in range(order, 0, -1):
        polynomial_BB = 1 + polynomial_BB * scaled_BB / p
    return math.exp(-2 * gamma) * polynomial_BB


def cc_loss(student_feature_BD: Tensor, teacher_feature_BD: Tensor, gamma: float, order: int) -> Tensor:
    """|correlation(f_t) - correlation(f_s)|^2 / B^2; the features' widths may differ."""
    return F.mse_loss(correlation(student_feature_BD, gamma, order), correlation(teacher_feature_BD, gamma, order))


@dataclass(frozen=True)
class CCConfig:
    """Settings of correlation congruence."""

    weight: float = 100.0
    """Weight of the term beside cross-entropy of weight 1 (Knowledge-Distillation-Zoo, which builds this formula, for
    CIFAR-10)."""
    gamma: float = 0.4
    """gamma of the Gaussian kernel (likewise)."""
    order: int = 2
    """Highest power of the kernel's Taylor polynomial (likewise)."""

    def __post_init__(self) -> None:
        for name, holds, advice in (
            ("weight", self.weight >= 0, "0 or more"),
            ("gamma", self.gamma > 0, "more than 0"),
            ("order", self.order >= 1, "1 or more"),
        ):
            require(holds, f"cc.{name}", getattr(self, name), f"give {advice}")


class CC(Method):
    r"""The kernels between a batch's penultimate features f, [B, D], are alike.

    .. math:: \mathit{weight} \; \frac{1}{B^2} \lVert \psi(f_t) - \psi(f_s) \rVert_F^2

    .. math:: \psi_{ij} = e^{-2\gamma} \sum_{p=0}^{P} \frac{(2\gamma)^p}{p!} \langle f_i, f_j \rangle^p

    f_i in psi, [B, B], have length 1, and P is ``order``: it is the Taylor polynomial of a Gaussian kernel.

    Source: Peng, Jin, Liu, Zhou, Wu, Liu, Li, Zhang, ICCV 2019, arXiv 1904.01802. Departures: batches are the
    loader's, not the paper's class-balanced ones, and logit distillation is not part of the total. The CRD authors'
    benchmark lists under CC another term (absolute differences of a learned embedding, multiplied between
    neighbours in the batch), so its figures are not this formula's.
    """

    def __init__(self, config: CCConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def build(cls, config: CCConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config)

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        congruence = cc_loss(student.feature, teacher.feature.detach(), self.config.gamma, self.config.order)
        loss = self.config.weight * congruence
        return {"loss": loss, "cc": loss.detach()}
