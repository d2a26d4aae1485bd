"""Complementary relation contrastive distillation."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from crcd.data.batch import Batch
from crcd.methods.kd import KDConfig, distillation_loss
from crcd.methods.method import Method
from crcd.relation.config import RelationConfig
from crcd.relation.loss import CRCDLoss
from crcd.relation.view import View


@dataclass(frozen=True)
class CRCDConfig(RelationConfig):
    """Settings of CRCD: its relation losses, and the logit distillation that is part of its total."""

    kd_weight: float = 0.9
    """Weight of logit distillation beside cross-entropy of weight 1; 0 for relations alone."""
    kd_temperature: float = 4.0
    """Temperature of logit distillation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        KDConfig(self.kd_weight, self.kd_temperature)


class CRCD(Method):
    """alpha * KL_T(teacher || student) + beta_f * L_feature + beta_g * L_gradient (Zhu et al., CVPR 2021)."""

    def __init__(self, config: CRCDConfig, student_dim: int, teacher_dim: int, labels_N: Tensor) -> None:
        super().__init__()
        self.config = config
        self.relation = CRCDLoss(student_dim, teacher_dim, config, labels=labels_N)

    @classmethod
    def build(cls, config: CRCDConfig, student: View, teacher: View, labels_N: Tensor) -> Self:
        return cls(config, student.feature.shape[1], teacher.feature.shape[1], labels_N)

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        terms = self.relation(student, teacher, batch.target, batch.index)
        kd = self.config.kd_weight * distillation_loss(student.logits, teacher.logits, self.config.kd_temperature)
        parts = {name: value for name, value in terms._asdict().items() if name != "loss" and value is not None}
        return {"loss": terms.loss + kd, "kd": kd.detach(), **parts}
