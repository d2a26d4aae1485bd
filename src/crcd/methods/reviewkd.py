"""Knowledge review."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.method import Method, numbered
from crcd.methods.stages import paired_stages
from crcd.methods.warm_up import WarmUp
from crcd.relation.view import View

MAX_WIDTH = 512
"""Most channels of a fused map."""
POOLED_SIDES = (4, 2, 1)
"""Sides to which the hierarchical context loss pools."""


def hcl_loss(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """Hierarchical context loss: weighted mean of mean squared errors at several resolutions.

    The maps as they are have weight 1; pooled to 4x4, 2x2 and 1x1, as far as these are smaller, they have 1/2, 1/4 and
    so on.

    Args:
        student_map: [B, C, H, W].
        teacher_map: likewise.
    """
    error_BCHW = student_map - teacher_map
    sides = [side for side in POOLED_SIDES if side < min(error_BCHW.shape[2:])]
    errors = [error_BCHW, *(F.adaptive_avg_pool2d(error_BCHW, side) for side in sides)]
    weights = [0.5**level for level in range(len(errors))]
    losses = [weight * error.square().mean() for weight, error in zip(weights, errors, strict=True)]
    return torch.stack(losses).sum() / sum(weights)


class Fusion(nn.Module):
    """Attention-based fusion of a student's map with what was fused of the deeper ones.

    x = BatchNorm(map * U), [B, width, H, W], of a 1x1 convolution; y is the deeper fused map, resized to H x W. The
    fused map is a x + b y with a and b, [B, 1, H, W], the sigmoids of a 1x1 convolution of both; it is x for the
    deepest. Resized to the teacher's map, BatchNorm(3x3 convolution) of it is compared with that. Maps are resized by
    taking the nearest element.

    Args:
        student_dim: channels of the student's map.
        width: channels of the fused map.
        teacher_dim: channels of the teacher's map.
        deepest: there is no deeper map.
    """

    def __init__(self, student_dim: int, width: int, teacher_dim: int, *, deepest: bool) -> None:
        super().__init__()
        self.embed = _convolution(student_dim, width, 1)
        self.attend = None if deepest else nn.Sequential(nn.Conv2d(2 * width, 2, 1), nn.Sigmoid())
        self.connect = _convolution(width, teacher_dim, 3)

    def forward(self, student_map: Tensor, deeper: Tensor | None, size: torch.Size) -> tuple[Tensor, Tensor]:
        """The map for the teacher, [B, teacher_dim, *size], and the fused one, [B, width, *size]."""
        fused = self.embed(student_map)
        if self.attend is not None and deeper is not None:
            deeper = _resized(deeper, fused.shape[2:])
            attention_B2HW = self.attend(torch.cat([fused, deeper], dim=1))
            fused = fused * attention_B2HW[:, :1] + deeper * attention_B2HW[:, 1:]
        fused = _resized(fused, size)
        return self.connect(fused), fused


def _convolution(in_channels: int, out_channels: int, side: int) -> nn.Sequential:
    layer = nn.Conv2d(in_channels, out_channels, side, padding=side // 2, bias=False)
    nn.init.kaiming_uniform_(layer.weight, a=1)
    return nn.Sequential(layer, nn.BatchNorm2d(out_channels))


def _resized(map_BCHW: Tensor, size: torch.Size) -> Tensor:
    return map_BCHW if map_BCHW.shape[2:] == size else F.interpolate(map_BCHW, tuple(size), mode="nearest")


def _levels(student: View, teacher: View) -> list[tuple[Tensor, Tensor]]:
    """Maps that belong together, from the image on, the features last; the teacher's are constants."""
    features = student.feature[:, :, None, None], teacher.feature.detach()[:, :, None, None]
    return [*paired_stages(student, teacher), features]


@dataclass(frozen=True)
class ReviewKDConfig:
    """Settings of knowledge review: those of the authors' code for CIFAR-100."""

    weight: float = 5.0
    """Weight of the levels' sum beside cross-entropy of weight 1 (authors; they take 8 for resnet32x4 to ShuffleNetV2,
    1 for resnet110 to resnet32 and 0.6 for resnet56 to resnet20)."""
    warm_up_epochs: int = 20
    """Epochs over which the weight grows from 0, epoch by epoch (authors; 0 in theirs for ImageNet)."""

    def __post_init__(self) -> None:
        for name in ("weight", "warm_up_epochs"):
            require(getattr(self, name) >= 0, f"reviewkd.{name}", getattr(self, name), "give 0 or more")


class ReviewKD(Method):
    r"""Every level of the teacher is predicted from the student's level and all deeper ones.

    .. math:: w \sum_l \mathrm{HCL}\big(\mathrm{fusion}_l(m^s_l, m^s_{l+1}, \dots), \, m^t_l\big)

    HCL is ``hcl_loss``, mean squared errors at several resolutions, and the fusions are ``Fusion``. Levels are the
    pairs of stages (``paired_stages``) and the penultimate features as maps of 1x1; fusions run from the latter towards
    the image. All fused maps have the width of the student's feature, at most 512. In epoch e, from 0, w = weight *
    min(1, e / warm_up_epochs): the first epoch has none.

    Source: Chen, Liu, Zhao and Jia, CVPR 2021, arXiv 2104.09044, "Distilling knowledge via knowledge review", in the
    form of the authors' code for CIFAR-100. Departure: of a stage of the teacher that code takes the map before its
    last activation (of a WRN stage, its output after the next BatchNorm), here it is the stage's output.
    """

    uses_maps = True

    def __init__(self, config: ReviewKDConfig, dims: list[tuple[int, int]], num_samples: int) -> None:
        """Make one fusion for each level.

        Args:
            config: settings.
            dims: channels of student and teacher at every level, from the image on, the features' last.
            num_samples: N of the training set.
        """
        super().__init__()
        self.config = config
        width = min(MAX_WIDTH, dims[-1][0])
        self.fusions = nn.ModuleList(Fusion(d_s, width, d_t, deepest=False) for d_s, d_t in dims[:-1])
        self.fusions.append(Fusion(dims[-1][0], width, dims[-1][1], deepest=True))
        self.warm_up = WarmUp(config.warm_up_epochs, num_samples, first=0)

    @classmethod
    def build(cls, config: ReviewKDConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        dims = [(student_map.shape[1], teacher_map.shape[1]) for student_map, teacher_map in _levels(student, teacher)]
        return cls(config, dims, len(numbered(labels_N, "reviewkd")))

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        losses, fused = [], None
        pairs = _levels(student, teacher)
        for fusion, (student_map, teacher_map) in zip(reversed(self.fusions), reversed(pairs), strict=True):
            compared, fused = fusion(student_map, fused, teacher_map.shape[2:])
            losses.append(hcl_loss(compared, teacher_map))
        loss = self.config.weight * self.warm_up(len(batch.target)) * torch.stack(losses).sum()
        return {"loss": loss, "reviewkd": loss.detach()}
