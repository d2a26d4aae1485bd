"""Distillation of the flow of the solution procedure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import CrcdError
from crcd.methods.stages import paired_stages, pooled_alike
from crcd.methods.two_stage import TwoStage, TwoStageConfig
from crcd.relation.view import View


def flow(lower_BCHW: Tensor, upper_BDHW: Tensor) -> Tensor:
    """FSP matrix of each sample, [B, C, D]: G_cd = mean over places of lower_c * upper_d (Yim et al. 2017, eq. 1).

    Of two maps of different sizes, the larger is pooled to the smaller.
    """
    lower_BCP, upper_BDP = (each.flatten(2) for each in pooled_alike(lower_BCHW, upper_BDHW))
    return lower_BCP @ upper_BDP.transpose(1, 2) / lower_BCP.shape[2]


def fsp_loss(student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
    """Sum over neighbours of the mean over elements of (G_t - G_s)^2, G = ``flow`` from a map to the next.

    Args:
        student_maps: [B, C_i, H_i, W_i] with i from 0 at the image.
        teacher_maps: as many maps of as many channels; heights and widths may differ from the student's.
    """
    student_flows, teacher_flows = (map(flow, maps, maps[1:]) for maps in (student_maps, teacher_maps))
    return torch.stack([F.mse_loss(g_s, g_t) for g_s, g_t in zip(student_flows, teacher_flows, strict=True)]).sum()


@dataclass(frozen=True)
class FSPConfig(TwoStageConfig):
    """Settings of FSP: those of its first stage, whose loss has no other term to be weighed against."""


class FSP(TwoStage):
    r"""First stage: how a network comes from a map to the next, as the teacher does; then cross-entropy alone.

    .. math:: \sum_i \mathrm{MSE}(G^s_i, G^t_i), \qquad G_{cd} = \frac{1}{H W} \sum_{h,w} F_{chw} F'_{dhw}

    G_i, [B, C_i, C_i+1], are inner products of the channels of a map F and of the next one F'. The maps are the stem's
    and all stages'. Stages are paired from the last one back (``paired_stages``); the stems, where both networks have
    one, stand before them.

    Source: Yim, Joo, Bae and Kim, CVPR 2017, eq. 1 and 2, with all lambda_i alike, the squared differences' mean in
    place of their sum, and the epochs of the CRD authors' benchmark. Departure: both take students whose maps have as
    many channels as the teacher's, and no others; here a student's map of other width first goes through a 1x1
    convolution to C_t channels, which is trained in the first stage and then left.
    """

    uses_maps = True
    beside_ce = False

    def __init__(self, config: FSPConfig, widths: Sequence[tuple[int, int]]) -> None:
        super().__init__(config)
        self.connectors = nn.ModuleList(
            nn.Identity() if s_width == t_width else nn.Conv2d(s_width, t_width, 1, bias=False)
            for s_width, t_width in widths
        )

    @classmethod
    def build(cls, config: FSPConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        pairs = _pairs(student, teacher)
        if len(pairs) < 2:
            raise CrcdError("fsp needs two maps of each network, but student and teacher have one stage in common")
        return cls(config, [(student_map.shape[1], teacher_map.shape[1]) for student_map, teacher_map in pairs])

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        student_maps, teacher_maps = zip(*_pairs(student, teacher), strict=True)
        connected = [connect(each) for connect, each in zip(self.connectors, student_maps, strict=True)]
        loss = fsp_loss(connected, teacher_maps)
        return {"loss": loss, "fsp": loss.detach()}


def _pairs(student: View, teacher: View) -> list[tuple[Tensor, Tensor]]:
    stages = paired_stages(student, teacher)
    if "stem" not in student.maps or "stem" not in teacher.maps:
        return stages
    return [(student.maps["stem"], teacher.maps["stem"].detach()), *stages]
