"""Probabilistic knowledge transfer."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.method import Method
from crcd.relation.view import View

EPSILON = 1e-7
"""Added to both probabilities before their logarithm."""


def pkt_loss(student_feature_BD: Tensor, teacher_feature_BD: Tensor) -> Tensor:
    """Mean over the B^2 pairs of p_t log((p_t + eps) / (p_s + eps)), the features' widths may differ.

    p_ij is sample i's probability of its neighbour j, (cos(f_i, f_j) + 1) / 2 over its sum over j.
    """
    p_s_BB, p_t_BB = _neighbours(student_feature_BD), _neighbours(teacher_feature_BD)
    return (p_t_BB * ((p_t_BB + EPSILON) / (p_s_BB + EPSILON)).log()).mean()


def _neighbours(feature_BD: Tensor) -> Tensor:
    unit_BD = F.normalize(feature_BD, dim=1)
    similarity_BB = (unit_BD @ unit_BD.T + 1) / 2
    return similarity_BB / similarity_BB.sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class PKTConfig:
    """Settings of probabilistic knowledge transfer."""

    weight: float = 30000.0
    """Weight of the term beside cross-entropy of weight 1 (the CRD authors' benchmark)."""

    def __post_init__(self) -> None:
        require(self.weight >= 0, "pkt.weight", self.weight, "give a weight of 0 or more")


class PKT(Method):
    r"""The student's features have the teacher's neighbours.

    .. math:: \mathit{weight} \; \frac{1}{B^2} \sum_{ij} p^t_{ij} \log \frac{p^t_{ij}}{p^s_{ij}}

    p_ij, [B, B], is sample i's probability of its neighbour j, (cos(f_i, f_j) + 1) / 2 over its sum over j, of
    a batch's penultimate features. Source: Passalis and Tefas, ECCV 2018, arXiv
    1803.10837, with its cosine kernel. A mean over all pairs, with 1e-7 in the logarithm, as in the authors' code;
    the paper writes a sum. Each neighbourhood includes the sample itself, likewise.
    """

    def __init__(self, config: PKTConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def build(cls, config: PKTConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config)

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        loss = self.config.weight * pkt_loss(student.feature, teacher.feature.detach())
        return {"loss": loss, "pkt": loss.detach()}
