"""Class attention transfer."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import CrcdError, require
from crcd.methods.method import Method
from crcd.relation.head import linear_weight
from crcd.relation.view import View


def class_activation(map_BDHW: Tensor, weight_CD: Tensor, side: int) -> Tensor:
    """Class activation maps W f_hw at every place, pooled by averaging, [B, C, side, side].

    Pooling comes first here, which gives the same maps for less work.
    """
    pooled = F.adaptive_avg_pool2d(map_BDHW, side)
    return F.conv2d(pooled, weight_CD[:, :, None, None])


def cat_loss(student_BCHW: Tensor, teacher_BCHW: Tensor, *, normalise: bool) -> Tensor:
    """Mean over samples, classes and places of the squared difference of two networks' class activation maps.

    Args:
        student_BCHW: one map for each class.
        teacher_BCHW: likewise.
        normalise: divide each class's map by its l2-norm first.
    """
    s_BCP, t_BCP = student_BCHW.flatten(2), teacher_BCHW.flatten(2)
    if normalise:
        s_BCP, t_BCP = F.normalize(s_BCP, dim=2), F.normalize(t_BCP, dim=2)
    return F.mse_loss(s_BCP, t_BCP)


@dataclass(frozen=True)
class CATKDConfig:
    """Settings of class attention transfer: the authors' for resnet32x4 that teaches resnet8x4 on CIFAR-100."""

    weight: float = 15.0
    """Weight beside cross-entropy of weight 1 (authors; theirs go from 0.7 for resnet56 to resnet20, to 600 for
    resnet32x4 to ShuffleNet, where maps are normalised)."""
    side: int = 2
    """Height and width to which class activation maps are pooled (authors; 4 for ShuffleNet)."""
    normalise: bool = False
    """Divide each class's map by its l2-norm (the authors do so where the networks are of different families)."""

    def __post_init__(self) -> None:
        require(self.weight >= 0, "catkd.weight", self.weight, "give a weight of 0 or more")
        require(self.side >= 1, "catkd.side", self.side, "give 1 or more")


class CATKD(Method):
    r"""Which places of an image speak for which class: class activation maps A, [B, C, side, side].

    .. math:: \mathit{weight} \; \frac{1}{B C \, \mathit{side}^2} \lVert A_s - A_t \rVert^2

    A_bc at a place is the weight row of class c times the last feature map there, so that the mean of A_bc over the
    places, plus the bias, is the logit; it is pooled to side x side and, with ``normalise``, divided by its l2-norm.
    The student's classifier learns from it, too.

    Source: Guo, Yan, Li and Lin, CVPR 2023, arXiv 2304.12777, "Class attention transfer based knowledge distillation",
    in the form of the authors' code. Departure: there student and teacher classify without a bias; here they have
    one, which is no part of the maps.
    """

    uses_maps = True

    def __init__(self, config: CATKDConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def build(cls, config: CATKDConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        for role, view in (("student", student), ("teacher", teacher)):
            _check(view, role)
        return cls(config)

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        student_BCHW, teacher_BCHW = (self._class_activation(view) for view in (student, teacher))
        loss = self.config.weight * cat_loss(student_BCHW, teacher_BCHW.detach(), normalise=self.config.normalise)
        return {"loss": loss, "catkd": loss.detach()}

    def _class_activation(self, view: View) -> Tensor:
        *_, last = view.maps.values()
        weight_CD = linear_weight(view.classifier)
        assert weight_CD is not None
        return class_activation(last, weight_CD, self.config.side)


def _check(view: View, role: str) -> None:
    if not view.maps:
        raise CrcdError(f"catkd reads last feature maps, but the {role}'s view has none: read its last stage")
    if linear_weight(view.classifier) is None:
        raise CrcdError(
            f"catkd needs a classifier that is one linear layer, but the {role}'s is a "
            f"{type(view.classifier).__name__}: take another network or method"
        )
    name, last = list(view.maps.items())[-1]
    averaged = last.mean(dim=(2, 3)) if last.dim() == 4 else last
    if averaged.shape != view.feature.shape or not torch.allclose(averaged, view.feature, rtol=1e-3, atol=1e-4):
        raise CrcdError(
            f"catkd needs a classifier of the last feature map's mean, but the {role}'s feature, "
            f"{list(view.feature.shape)}, is not that of its map '{name}', {list(last.shape)}: "
            "take another network or method"
        )
