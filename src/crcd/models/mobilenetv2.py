"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) for 32x32 images, at half width."""

from torch import Tensor, nn

from crcd.models.classifier import ImageClassifier
from crcd.models.layers import conv, conv_bn_relu, init_classifier, init_convolutions

# Per stage: (expansion, channels at full width, blocks, stride of the first block).
STAGES = (
    ((1, 16, 1, 1), (6, 24, 2, 1)),
    ((6, 32, 3, 2),),
    ((6, 64, 4, 2), (6, 96, 3, 1)),
    ((6, 160, 3, 2), (6, 320, 1, 1)),
)
FEATURE_DIM = 1280


class InvertedResidual(nn.Module):
    """Widen by a 1x1 convolution, filter each channel by a 3x3 one, narrow by a 1x1 one without activation."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = in_channels * expansion
        self.conv = nn.Sequential(
            conv(in_channels, width, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            conv(width, width, 3, stride, groups=width),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            conv(width, out_channels, 1),
            nn.BatchNorm2d(out_channels),
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, H / stride, W / stride]."""
        out: Tensor = self.conv(x)
        return x + out if self.residual else out


def mobilenetv2(num_classes: int, in_channels: int) -> ImageClassifier:
    """Half of every width but the last, 1280; ReLU, not ReLU6; 32x32 images end at 2x2."""
    width = 16
    stages: dict[str, nn.Module] = {"stem": conv_bn_relu(in_channels, width, 3, stride=2)}
    for number, groups in enumerate(STAGES, start=1):
        stage = nn.Sequential()
        for expansion, channels, count, first_stride in groups:
            for position in range(count):
                stage.append(InvertedResidual(width, channels // 2, first_stride if position == 0 else 1, expansion))
                width = channels // 2
        stages[f"stage{number}"] = stage
    stages["head"] = conv_bn_relu(width, FEATURE_DIM, 1)
    model = ImageClassifier(stages, FEATURE_DIM, num_classes)
    init_convolutions(model)
    init_classifier(model.classifier)
    return model
