"""Complementary relation contrastive distillation."""

from typing import Self

from torch import Tensor

from crcd.data.batch import Batch
from crcd.methods.method import Method
from crcd.relation.config import RelationConfig
from crcd.relation.loss import CRCDLoss
from crcd.relation.view import View


class CRCD(Method):
    r"""Relations between samples are the student's as they are the teacher's, in features and in feature gradients.

    .. math:: \beta_f \, L_{\text{feature}} + \beta_g \, L_{\text{gradient}}

    Each L is ``1 - sample_share`` times the relation contrast of an element, the penultimate feature f or its gradient,
    embedded to unit length, s by the student and t by the teacher, [B, D]: with anchors a_j of the teacher and the
    relation r(a, x) = (x - a) / |x - a|,

    .. math::
       L = -\frac{1}{B A} \sum_{i,j} \log
       \frac{\exp(\cos(r(a_j, s_i), r(a_j, t_i)) / \tau)}
       {\sum_{k=0}^{K} \exp(\cos(r(a_j, s_i), r(a_j, t_k)) / \tau)}

    where k = 0 is sample i itself and 1 to K are negatives; and ``sample_share`` times the same contrast of the samples
    themselves, :math:`\cos(s_i, t_k)` in place of the cosine of relations. Beside either stands the mirrored term,
    which trains the teacher's embedding head. The authors' total has logit distillation beside it: ``crcd+kd``.

    Source: Zhu, Tang, Chen, Yu, Liu, Yang, Rong and Wang, CVPR 2021, arXiv 2103.16367.
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
