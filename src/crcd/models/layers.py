"""Small parts that several families of the zoo share."""

from torch import Tensor, nn


def conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Convolution without bias that keeps the image size but for its stride."""
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False)


def conv_bn_relu(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        conv(in_channels, out_channels, kernel, stride), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
    )


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Shortcut of a residual block: the identity, or a normalised 1x1 convolution where the shape changes."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


def channel_shuffle(features: Tensor, groups: int) -> Tensor:
    """Interleave the channels of ``groups`` equal groups (Zhang et al. 2018, ShuffleNet, figure 1)."""
    B, C, H, W = features.shape
    return features.view(B, groups, C // groups, H, W).transpose(1, 2).reshape(B, C, H, W)


def init_convolutions(model: nn.Module) -> None:
    """Draw every convolution from N(0, 2 / fan_out), biases 0 (He et al. 2015); other layers keep PyTorch's values."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def init_classifier(classifier: nn.Linear) -> None:
    """Draw a classifier's weight from N(0, 0.01^2), its bias 0."""
    nn.init.normal_(classifier.weight, std=0.01)
    nn.init.zeros_(classifier.bias)
