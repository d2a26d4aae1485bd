"""Distillation of relations between and within classes."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.method import Method
from crcd.relation.view import View

EPSILON = 1e-8
"""Added to the product of norms that divides a correlation."""


def correlation_distance(student_MN: Tensor, teacher_MN: Tensor) -> Tensor:
    """Mean over the M rows of 1 - Pearson's correlation of the student's and the teacher's row."""
    s_MN = student_MN - student_MN.mean(dim=1, keepdim=True)
    t_MN = teacher_MN - teacher_MN.mean(dim=1, keepdim=True)
    distance_M: Tensor = 1 - (s_MN * t_MN).sum(dim=1) / (s_MN.norm(dim=1) * t_MN.norm(dim=1) + EPSILON)
    return distance_M.mean()


@dataclass(frozen=True)
class DISTConfig:
    """Settings of DIST."""

    beta: float = 1.0
    """Weight of relations between classes beside cross-entropy of weight 1 (the default of the authors' code)."""
    gamma: float = 1.0
    """Weight of relations within classes (the default of the authors' code)."""
    temperature: float = 4.0
    """Temperature that softens both distributions (4 in the WTTM authors' CIFAR-100 benchmark)."""

    def __post_init__(self) -> None:
        for name in ("beta", "gamma"):
            require(getattr(self, name) >= 0, f"dist.{name}", getattr(self, name), "give a weight of 0 or more")
        require(self.temperature > 0, "dist.temperature", self.temperature, "give a temperature above 0")


class DIST(Method):
    r"""The student's probabilities correlate with the teacher's.

    .. math:: T^2 \, ( \beta \; \mathit{inter} + \gamma \; \mathit{intra} )

    Of p = softmax(z / T), [B, C], inter is 1 - Pearson's correlation of p_s and p_t over a sample's classes, mean over
    the samples; intra the same over the batch's samples of each class, mean over the classes.

    Source: Huang, You, Wang, Qian and Xu, NeurIPS 2022, arXiv 2205.10536. The factor T^2 and 1e-8 beside the norms are
    those of the authors' code.
    """

    def __init__(self, config: DISTConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def build(cls, config: DISTConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config)

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        temperature = self.config.temperature
        p_s_BC = (student.logits / temperature).softmax(dim=1)
        p_t_BC = (teacher.logits.detach() / temperature).softmax(dim=1)
        inter = self.config.beta * temperature**2 * correlation_distance(p_s_BC, p_t_BC)
        intra = self.config.gamma * temperature**2 * correlation_distance(p_s_BC.T, p_t_BC.T)
        loss = inter + intra
        return {"loss": loss, "dist": loss.detach(), "inter": inter.detach(), "intra": intra.detach()}
