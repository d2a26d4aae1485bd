"""Factor transfer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.at import attention
from crcd.methods.stages import paired_stages, pooled_alike
from crcd.methods.two_stage import TwoStage, TwoStageConfig
from crcd.relation.view import View

SLOPE = 0.1
"""Of the leaky ReLUs below zero."""


def ft_loss(student_factor: Tensor, teacher_factor: Tensor) -> Tensor:
    """Mean over samples and places of |q_s - q_t|, q = ``attention`` of a factor.

    Args:
        student_factor: [B, K, H, W].
        teacher_factor: [B, K', H, W].
    """
    return F.l1_loss(attention(student_factor), attention(teacher_factor))


@dataclass(frozen=True)
class FTConfig(TwoStageConfig):
    """Settings of factor transfer."""

    first_stage_lr: float | None = 0.01
    """Learning rate of the whole first stage; None takes --lr. 0.01 is the CRD authors' benchmark's for ResNets and
    WRNs as students; for others it takes that of the run, 0.01 again for MobileNet and ShuffleNets."""
    weight: float = 200.0
    """Weight of the term beside cross-entropy of weight 1 (the CRD authors' benchmark; 500 in the authors' code)."""
    rate: float = 0.5
    """Paraphrase rate k: a factor has k times the channels of the teacher's map (the authors' code)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.weight >= 0, "ft.weight", self.weight, "give a weight of 0 or more")
        require(self.rate > 0, "ft.rate", self.rate, "give a rate above 0")


class FT(TwoStage):
    r"""The student's factor is bright where the teacher's is.

    .. math:: \mathit{weight} \; \frac{1}{B H W} \lVert q_s - q_t \rVert_1

    First stage: an encoder and a decoder, three 3x3 convolutions each, learn to give the teacher's last stage's map
    back, MSE(decoder(F_t), h_t), through its factor F_t = encoder(h_t), [B, K, H, W] with K = rate * C_t; the student
    waits. Afterwards they stay as they are, and a translator, three more convolutions, makes the student's factor F_s
    of its own last stage. q, [B, H W], is a factor's mean square over channels, of l2-norm 1 over the places. Of two
    factors that differ in size the larger is pooled. Maps of one place have nothing to say here: their q is 1.

    Source: Kim, Park and Kwak, NeurIPS 2018, arXiv 1802.04977, as in the CRD authors' benchmark, whose layers these
    are (the translator's with batch normalisation, the others' without). The authors' code compares all elements of a
    factor, in place of the mean square over its channels, and normalises no translator.
    """

    uses_maps = True

    def __init__(self, config: FTConfig, student_width: int, teacher_width: int) -> None:
        super().__init__(config)
        self.config = config
        factor_width = max(1, int(config.rate * teacher_width))
        widths = (teacher_width, teacher_width, factor_width, factor_width)
        self.encoder = _layers(nn.Conv2d, widths)
        self.decoder = _layers(nn.ConvTranspose2d, widths[::-1])
        self.translator = _layers(nn.Conv2d, (student_width, student_width, factor_width, factor_width), norm=True)

    @classmethod
    def build(cls, config: FTConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        student_map, teacher_map = paired_stages(student, teacher)[-1]
        return cls(config, student_map.shape[1], teacher_map.shape[1])

    def first_stage(self, student: Callable[[], View], teacher: View, batch: Batch) -> dict[str, Tensor]:
        _, teacher_map = paired_stages(teacher, teacher)[-1]
        loss = F.mse_loss(self.decoder(self.encoder(teacher_map)), teacher_map)
        return {"loss": loss, "reconstruction": loss.detach()}

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        student_map, teacher_map = paired_stages(student, teacher)[-1]
        with torch.no_grad():
            teacher_factor = self.encoder(teacher_map)
        loss = self.config.weight * ft_loss(*pooled_alike(self.translator(student_map), teacher_factor))
        return {"loss": loss, "ft": loss.detach()}


def _layers(
    convolution: type[nn.Conv2d] | type[nn.ConvTranspose2d], widths: Sequence[int], *, norm: bool = False
) -> nn.Sequential:
    """3x3 convolutions from each width to the next, activated, that keep height and width."""
    layers: list[nn.Module] = []
    for width, next_width in pairwise(widths):
        layers.append(convolution(width, next_width, 3, padding=1))
        layers += [nn.BatchNorm2d(next_width)] if norm else []
        layers.append(nn.LeakyReLU(SLOPE, inplace=True))
    return nn.Sequential(*layers)
