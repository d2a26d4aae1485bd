"""Distillation of activation boundaries."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.fitnet import regressor
from crcd.methods.stages import paired_stages
from crcd.methods.two_stage import TwoStage, TwoStageConfig
from crcd.relation.view import View

SCALE = 3 / 1000
"""Factor of the loss (the authors' code for CIFAR-10, and the CRD authors' benchmark)."""


def ab_loss(student_BCHW: Tensor, teacher_BCHW: Tensor, margin: float) -> Tensor:
    """Sum over neurons, mean over samples, of ReLU(m - s)^2 where the teacher's t > 0, and of ReLU(m + s)^2 elsewhere.

    Args:
        student_BCHW: s, before activation.
        teacher_BCHW: t, before activation, of the same shape.
        margin: m.
    """
    signed = torch.where(teacher_BCHW > 0, student_BCHW, -student_BCHW)
    return F.relu(margin - signed).square().flatten(1).sum(dim=1).mean()


@dataclass(frozen=True)
class ABConfig(TwoStageConfig):
    """Settings of activation boundaries."""

    margin: float = 1.0
    """Margin m, how far on the teacher's side of the boundary a neuron shall be (the authors' code)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.margin > 0, "ab.margin", self.margin, "give a margin above 0")


class AB(TwoStage):
    r"""First stage: neurons shall be active where the teacher's are; then cross-entropy alone.

    .. math:: \frac{3}{1000} \sum_{i=1}^{n} 2^{\,i-n} \, L(s_i, t_i)

    .. math:: L(s, t) = \frac{1}{B} \sum_{t > 0} \max(0, m - s)^2 + \frac{1}{B} \sum_{t \le 0} \max(0, m + s)^2

    Of stage i it compares maps before their activation, t_i, [B, C_t, H_t, W_t], and s_i = r_i(map of the student). r_i
    is a convolution and a batch normalisation, trained in this stage (those of FitNet's ``regressor``), and nothing
    where both maps have one shape; where it does not lead to the teacher's height and width, pooling does. Stages are
    paired from the last one back (``paired_stages``).

    Source: Heo, Lee, Yun and Choi, AAAI 2019, arXiv 1811.03233, with the scale of the authors' code, and the connectors
    and epochs of the CRD authors' benchmark, whose maps before activation these are too (``View.preactivations``).
    Only networks of the zoo have them.
    """

    uses_maps = True
    uses_preactivations = True
    beside_ce = False

    def __init__(self, config: ABConfig, connectors: Sequence[nn.Module]) -> None:
        super().__init__(config)
        self.config = config
        self.connectors = nn.ModuleList(connectors)

    @classmethod
    def build(cls, config: ABConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config, [_connector(*pair) for pair in _pairs(student, teacher)])

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        loss = student.logits.new_zeros(())
        for connector, (student_map, teacher_map) in zip(self.connectors, _pairs(student, teacher), strict=True):
            connected = connector(student_map)
            if connected.shape != teacher_map.shape:
                connected = F.adaptive_avg_pool2d(connected, (teacher_map.shape[2], teacher_map.shape[3]))
            loss = loss / 2 + ab_loss(connected, teacher_map, self.config.margin)
        loss = SCALE * loss
        return {"loss": loss, "ab": loss.detach()}


def _pairs(student: View, teacher: View) -> list[tuple[Tensor, Tensor]]:
    return paired_stages(*(replace(view, maps=view.preactivations) for view in (student, teacher)))


def _connector(student_map: Tensor, teacher_map: Tensor) -> nn.Module:
    if student_map.shape == teacher_map.shape:
        return nn.Identity()
    convolution, norm, _ = regressor(student_map, teacher_map)
    return nn.Sequential(convolution, norm)
