"""Wide residual networks (Zagoruyko & Komodakis 2016, arXiv 1605.07146): blocks normalise before they convolve."""

from torch import Tensor, nn
from torch.nn import functional as F

from crcd.models.classifier import ImageClassifier
from crcd.models.layers import conv, init_convolutions


class PreactivationBlock(nn.Module):
    """y = conv3x3(ReLU(BN(conv3x3(a)))) + shortcut with a = ReLU(BN(x)).

    The shortcut is x itself, or conv1x1(a) where the width changes.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv(in_channels, out_channels, 3, stride)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = conv(out_channels, out_channels, 3)
        self.shortcut = conv(in_channels, out_channels, 1, stride) if in_channels != out_channels else None

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, H / stride, W / stride]."""
        activated = F.relu(self.bn1(x), inplace=True)
        out: Tensor = self.conv2(F.relu(self.bn2(self.conv1(activated)), inplace=True))
        return out + (x if self.shortcut is None else self.shortcut(activated))


def wrn(depth: int, widen: int, num_classes: int, in_channels: int) -> ImageClassifier:
    """Three stages of (depth - 4) / 6 blocks, of widths 16, 32 and 64 times ``widen``."""
    stages: dict[str, nn.Module] = {"stem": conv(in_channels, 16, 3)}
    width = 16
    for number, out_channels in enumerate((16 * widen, 32 * widen, 64 * widen), start=1):
        stage = nn.Sequential()
        for position in range((depth - 4) // 6):
            stage.append(PreactivationBlock(width, out_channels, 2 if number > 1 and position == 0 else 1))
            width = out_channels
        stages[f"stage{number}"] = stage
    stages["head"] = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True))
    model = ImageClassifier(stages, width, num_classes)
    init_convolutions(model)
    nn.init.zeros_(model.classifier.bias)
    return model
