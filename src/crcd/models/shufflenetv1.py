"""ShuffleNet (Zhang et al. 2018, arXiv 1707.01083) for 32x32 images: three groups, a 1x1 stem without pooling."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crcd.models.classifier import ImageClassifier
from crcd.models.layers import channel_shuffle, conv, conv_bn_relu

GROUPS = 3
STEM_WIDTH = 24
STAGES = ((4, 240), (8, 480), (4, 960))


class ShuffleUnit(nn.Module):
    """Grouped 1x1, channel shuffle, 3x3 by channel, grouped 1x1; added to x, or beside its average where it halves it.

    The first unit of the network does not group its first convolution: the stem is too narrow.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        branch = out_channels - in_channels if stride == 2 else out_channels
        width = branch // 4
        self.stride = stride
        self.groups = 1 if in_channels == STEM_WIDTH else GROUPS
        self.conv1 = conv(in_channels, width, 1, groups=self.groups)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, stride, groups=width)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv(width, branch, 1, groups=GROUPS)
        self.bn3 = nn.BatchNorm2d(branch)

    def before_activation(self, x: Tensor) -> Tensor:
        """What the last ReLU takes."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = channel_shuffle(out, self.groups)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        return torch.cat([out, F.avg_pool2d(x, 3, stride=2, padding=1)], dim=1) if self.stride == 2 else out + x

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, H / stride, W / stride]."""
        return F.relu(self.before_activation(x), inplace=True)


def shufflenetv1(num_classes: int, in_channels: int) -> ImageClassifier:
    """Stages of 4, 8 and 4 units, of widths 240, 480 and 960; every stage halves the image."""
    width = STEM_WIDTH
    stages: dict[str, nn.Module] = {"stem": conv_bn_relu(in_channels, width, 1)}
    for number, (count, out_channels) in enumerate(STAGES, start=1):
        stage = nn.Sequential()
        for position in range(count):
            stage.append(ShuffleUnit(width, out_channels, 2 if position == 0 else 1))
            width = out_channels
        stages[f"stage{number}"] = stage
    return ImageClassifier(stages, width, num_classes)
