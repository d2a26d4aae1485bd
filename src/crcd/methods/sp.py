"""Similarity-preserving distillation."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import CrcdError, require
from crcd.methods.method import Method
from crcd.relation.view import View


def sp_loss(student_map_B: Tensor, teacher_map_B: Tensor) -> Tensor:
    """|G_t - G_s|_F^2 / B^2 for G = the rows of A A^T divided by their lengths, A = maps as rows.

    Args:
        student_map_B: [B, ...], any shape of a sample.
        teacher_map_B: [B, ...], likewise.
    """
    return F.mse_loss(_similarities(student_map_B), _similarities(teacher_map_B))


def _similarities(map_B: Tensor) -> Tensor:
    rows_BE = map_B.flatten(1)
    return F.normalize(rows_BE @ rows_BE.T, dim=1)


@dataclass(frozen=True)
class SPConfig:
    """Settings of similarity-preserving distillation."""

    weight: float = 3000.0
    """Weight gamma of the term beside cross-entropy of weight 1 (the CRD authors' benchmark)."""

    def __post_init__(self) -> None:
        require(self.weight >= 0, "sp.weight", self.weight, "give a weight of 0 or more")


class SP(Method):
    r"""Pairs of samples are as similar for the student as for the teacher.

    .. math:: \mathit{weight} \; \frac{1}{B^2} \lVert G_t - G_s \rVert_F^2

    G, [B, B], are the row-normalised inner products of the samples' last feature maps, [B, C H W], which may differ
    in shape between the networks. Source: Tung and Mori, ICCV 2019, arXiv 1907.09682, its similarity loss on the last
    map alone, as the CRD authors' benchmark takes it.
    """

    uses_maps = True

    def __init__(self, config: SPConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def build(cls, config: SPConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        for name, view in (("student", student), ("teacher", teacher)):
            if not view.maps:
                raise CrcdError(f"sp compares last feature maps, but the {name}'s view has none: read its last stage")
        return cls(config)

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        *_, student_map = student.maps.values()
        *_, teacher_map = teacher.maps.values()
        loss = self.config.weight * sp_loss(student_map, teacher_map.detach())
        return {"loss": loss, "sp": loss.detach()}
