"""Residual networks for small images (He et al. 2016, arXiv 1512.03385, section 4.2), and their 50-layer bottleneck."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from crcd.models.classifier import ImageClassifier
from crcd.models.layers import conv, conv_bn_relu, init_convolutions, projection

NARROW = (16, 16, 32, 64)
WIDE = (32, 64, 128, 256)


class BasicBlock(nn.Module):
    """y = ReLU(BN(conv3x3(ReLU(BN(conv3x3(x))))) + shortcut(x))."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, out_channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = conv(out_channels, out_channels, 3)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = projection(in_channels, out_channels, stride)

    def before_activation(self, x: Tensor) -> Tensor:
        """What the last ReLU takes."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        before: Tensor = out + self.downsample(x)
        return before

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, H / stride, W / stride]."""
        return F.relu(self.before_activation(x), inplace=True)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones, at a quarter of the block's width; the stride is the 3x3's."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        width = out_channels // 4
        self.conv1 = conv(in_channels, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv(width, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = projection(in_channels, out_channels, stride)

    def before_activation(self, x: Tensor) -> Tensor:
        """What the last ReLU takes."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        before: Tensor = out + self.downsample(x)
        return before

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, H / stride, W / stride]."""
        return F.relu(self.before_activation(x), inplace=True)


def resnet(
    block: Callable[[int, int, int], nn.Module],
    blocks: Sequence[int],
    widths: Sequence[int],
    num_classes: int,
    in_channels: int,
) -> ImageClassifier:
    """A residual network whose stages after the first halve the image.

    Args:
        block: makes one residual block from its input width, output width and stride.
        blocks: number of blocks of each stage.
        widths: channels of the stem, then of each stage.
        num_classes: C.
        in_channels: channels of the images.
    """
    stages: dict[str, nn.Module] = {"stem": conv_bn_relu(in_channels, widths[0], 3)}
    width = widths[0]
    for number, (count, out_channels) in enumerate(zip(blocks, widths[1:], strict=True), start=1):
        stage = nn.Sequential()
        for position in range(count):
            stage.append(block(width, out_channels, 2 if number > 1 and position == 0 else 1))
            width = out_channels
        stages[f"stage{number}"] = stage
    model = ImageClassifier(stages, width, num_classes)
    init_convolutions(model)
    return model


def cifar_resnet(depth: int, widths: Sequence[int], num_classes: int, in_channels: int) -> ImageClassifier:
    """Three stages of (depth - 2) / 6 basic blocks."""
    return resnet(BasicBlock, [(depth - 2) // 6] * 3, widths, num_classes, in_channels)


def resnet50(num_classes: int, in_channels: int) -> ImageClassifier:
    """The 50-layer network with a 3x3 stem of stride 1 and no pooling after it, for 32x32 images."""
    return resnet(Bottleneck, (3, 4, 6, 3), (64, 256, 512, 1024, 2048), num_classes, in_channels)
