"""Softmax regression representation learning."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.method import Method
from crcd.relation.view import View


@dataclass(frozen=True)
class SRRLConfig:
    """Settings of softmax regression representation learning."""

    weight: float = 1.0
    """Weight of both terms beside cross-entropy of weight 1 (the default of the authors' code)."""

    def __post_init__(self) -> None:
        require(self.weight >= 0, "srrl.weight", self.weight, "give a weight of 0 or more")


class SRRL(Method):
    r"""The teacher's classifier reads the student's feature.

    .. math:: \mathit{weight} \; \big( \mathrm{MSE}(h, f_t) + \mathrm{MSE}(c_t(h), z_t) \big)

    h = ReLU(BatchNorm(f_s U)), [B, D_t], of a trained U, [D_s, D_t]; c_t is the teacher's classifier, kept as it is.
    Both squared errors are means over all elements.

    Source: Yang, Martinez, Bulat and Tzimiropoulos, ICLR 2021, "Knowledge distillation via softmax regression
    representation learning"; of its losses on the classifier's output the squared error, as in the authors' code. That
    code connects the maps before pooling (a 1x1 convolution); here the pooled feature is connected, as in the
    CIFAR-100 benchmark of SimKD's authors (Chen et al., CVPR 2022), so any classifier of one feature will do.
    """

    def __init__(self, config: SRRLConfig, student_dim: int, teacher_dim: int) -> None:
        super().__init__()
        self.config = config
        linear = nn.Linear(student_dim, teacher_dim, bias=False)
        self.connector = nn.Sequential(linear, nn.BatchNorm1d(teacher_dim), nn.ReLU())

    @classmethod
    def build(cls, config: SRRLConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config, student.feature.shape[1], teacher.feature.shape[1])

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        h_BD = self.connector(student.feature)
        constants = {name: tensor.detach() for name, tensor in teacher.classifier.named_parameters()}
        feature = self.config.weight * F.mse_loss(h_BD, teacher.feature.detach())
        logits_BC = functional_call(teacher.classifier, constants, (h_BD,))
        regression = self.config.weight * F.mse_loss(logits_BC, teacher.logits.detach())
        loss = feature + regression
        parts = {"srrl_feature": feature.detach(), "srrl_regression": regression.detach()}
        return {"loss": loss, "srrl": loss.detach(), **parts}
