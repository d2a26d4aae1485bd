"""ShuffleNet V2 (Ma et al. 2018, arXiv 1807.11164) for 32x32 images: a 1x1 stem without pooling."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crcd.models.classifier import ImageClassifier
from crcd.models.layers import channel_shuffle, conv, conv_bn_relu

STAGES = ((3, 116), (7, 232), (3, 464))
FEATURE_DIM = 1024


class SplitUnit(nn.Module):
    """Half of the channels pass untouched, the other half through 1x1, 3x3 by channel, 1x1; then a shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // 2
        self.conv1 = conv(width, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, groups=width)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv(width, width, 1)
        self.bn3 = nn.BatchNorm2d(width)

    def before_activation(self, x: Tensor) -> Tensor:
        """The unit without its last ReLU, which changes nothing in the kept half: that is not negative."""
        kept, out = self._halves(x)
        return channel_shuffle(torch.cat([kept, out], dim=1), 2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H, W]."""
        kept, out = self._halves(x)
        return channel_shuffle(torch.cat([kept, F.relu(out, inplace=True)], dim=1), 2)

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, out = x.chunk(2, dim=1)
        out = F.relu(self.bn1(self.conv1(out)), inplace=True)
        out = self.bn2(self.conv2(out))
        return kept, self.bn3(self.conv3(out))


class DownUnit(nn.Module):
    """Two branches that both see every channel and halve the image, side by side; then a shuffle."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        width = out_channels // 2
        self.conv1 = conv(in_channels, in_channels, 3, stride=2, groups=in_channels)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = conv(in_channels, width, 1)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv(in_channels, width, 1)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv4 = conv(width, width, 3, stride=2, groups=width)
        self.bn4 = nn.BatchNorm2d(width)
        self.conv5 = conv(width, width, 1)
        self.bn5 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, H / 2, W / 2]."""
        left = self.bn1(self.conv1(x))
        left = F.relu(self.bn2(self.conv2(left)), inplace=True)
        right = F.relu(self.bn3(self.conv3(x)), inplace=True)
        right = self.bn4(self.conv4(right))
        right = F.relu(self.bn5(self.conv5(right)), inplace=True)
        return channel_shuffle(torch.cat([left, right], dim=1), 2)


def shufflenetv2(num_classes: int, in_channels: int) -> ImageClassifier:
    """Stages of one halving and then 3, 7 and 3 splitting units, of widths 116, 232 and 464 (size 1x)."""
    width = 24
    stages: dict[str, nn.Module] = {"stem": conv_bn_relu(in_channels, width, 1)}
    for number, (count, out_channels) in enumerate(STAGES, start=1):
        units = [SplitUnit(out_channels) for _ in range(count)]
        stages[f"stage{number}"] = nn.Sequential(DownUnit(width, out_channels), *units)
        width = out_channels
    stages["head"] = conv_bn_relu(width, FEATURE_DIM, 1)
    return ImageClassifier(stages, FEATURE_DIM, num_classes)
