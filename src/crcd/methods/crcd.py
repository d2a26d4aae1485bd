"""Complementary relation contrastive distillation."""

from typing import Self

from torch import Tensor

from crcd.data.batch import Batch
from crcd.methods.method import Method
from crcd.relation.config import RelationConfig
from crcd.relation.loss import CRCDLoss
from crcd.relation.view import View


class CRCD(Method):
    """beta_f * L_feature + beta_g * L_gradient (Zhu et al., CVPR 2021, arXiv 2103.16367).

    The authors' total has logit distillation beside it: ``crcd+kd``.
    """

    def __init__(self, config: RelationConfig, student_dim: int, teacher_dim: int, labels_N: Tensor | None) -> None:
        super().__init__()
        self.relation = CRCDLoss(student_dim, teacher_dim, config, labels=labels_N)

    @classmethod
    def build(cls, config: RelationConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config, student.feature.shape[1], teacher.feature.shape[1], labels_N)

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        terms = self.relation(student, teacher, batch.target, batch.index, batch.mixture)
        return {name: value for name, value in terms._asdict().items() if value is not None}
