"""FitNet hints."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import CrcdError, require
from crcd.methods.method import Method
from crcd.methods.stages import paired_stages, pooled_alike
from crcd.relation.view import View


def regressor(student_map: Tensor, teacher_map: Tensor) -> nn.Sequential:
    """Convolution, batch normalisation and ReLU from a student's map, [B, C_s, H_s, W_s], to a teacher's channels.

    The convolution keeps, halves or doubles height and width where that makes them the teacher's: 1x1; 3x3 of stride
    2; transposed 4x4 of stride 2. Any other size is left to pooling, after a 1x1 convolution.
    """
    channels, out_channels = student_map.shape[1], teacher_map.shape[1]
    sides = list(zip(student_map.shape[2:], teacher_map.shape[2:], strict=True))
    convolution: nn.Module
    if all(side == 2 * hint_side for side, hint_side in sides):
        convolution = nn.Conv2d(channels, out_channels, 3, stride=2, padding=1)
    elif all(2 * side == hint_side for side, hint_side in sides):
        convolution = nn.ConvTranspose2d(channels, out_channels, 4, stride=2, padding=1)
    else:
        convolution = nn.Conv2d(channels, out_channels, 1)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


@dataclass(frozen=True)
class FitNetConfig:
    """Settings of FitNet hints."""

    weight: float = 100.0
    """Weight of the hint beside cross-entropy of weight 1 (the CRD authors' benchmark)."""
    stage: int = 2
    """Which stage gives the hint, 1 the first after the stem: 2 as in the CRD authors' benchmark, the middle of three.
    Where one network has more stages, those are counted that the other has, too."""

    def __post_init__(self) -> None:
        require(self.weight >= 0, "fitnet.weight", self.weight, "give a weight of 0 or more")
        require(self.stage >= 1, "fitnet.stage", self.stage, "give a stage of 1 or more")


class FitNet(Method):
    r"""A middle stage of the student predicts that of the teacher, the hint.

    .. math:: \mathit{weight} \cdot \mathrm{MSE}(r(h_s), h_t)

    h_s, [B, C_s, H_s, W_s], and h_t, [B, C_t, H_t, W_t], are a pair of stages' maps, r is trained along:
    ReLU(BatchNorm(convolution)) to C_t channels, and to the hint's size where that is the same, half or double
    (``regressor``); of any other two sizes the larger is pooled to the smaller. The squared error is a mean over all
    elements. Stages are paired from the last one back (``paired_stages``), so those that only one network has are not
    counted.

    Source: Romero, Ballas, Kahou, Chassang, Gatta and Bengio, ICLR 2015, arXiv 1412.6550. There the hint trains the
    student's lower half first, by itself; here it stands beside cross-entropy all along, as in the CRD authors'
    benchmark, whose regressor this is for all its pairs of networks.
    """

    uses_maps = True

    def __init__(self, config: FitNetConfig, student_map: Tensor, teacher_map: Tensor) -> None:
        super().__init__()
        self.config = config
        self.regressor = regressor(student_map, teacher_map)

    @classmethod
    def build(cls, config: FitNetConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        pairs = paired_stages(student, teacher)
        if config.stage > len(pairs):
            raise CrcdError(
                f"fitnet.stage is {config.stage}, but only {len(pairs)} stages can be paired: give 1 to {len(pairs)}"
            )
        return cls(config, *pairs[config.stage - 1])

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        student_map, hint = paired_stages(student, teacher)[self.config.stage - 1]
        loss = self.config.weight * F.mse_loss(*pooled_alike(self.regressor(student_map), hint))
        return {"loss": loss, "fitnet": loss.detach()}
