"""VGG networks (Simonyan & Zisserman 2015, arXiv 1409.1556) with batch normalisation and one linear layer."""

from torch import Tensor, nn
from torch.nn import functional as F

from crcd.models.classifier import ImageClassifier
from crcd.models.layers import init_classifier, init_convolutions

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {8: (1, 1, 1, 1, 1), 11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class LastPool(nn.Module):
    """2x2 max pooling of maps larger than 4x4 only: 32x32 images reach the last stage at 4x4, and so do 64x64 ones."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H / 2, W / 2] or x itself."""
        return F.max_pool2d(x, 2) if x.shape[-1] > 4 else x


def vgg(depth: int, num_classes: int, in_channels: int) -> ImageClassifier:
    """The VGG of ``depth`` weight layers (8, 11, 13, 16 or 19, of the original's three linear layers one is left)."""
    stages: dict[str, nn.Module] = {}
    width = in_channels
    for number, (count, out_channels) in enumerate(zip(CONVOLUTIONS[depth], WIDTHS, strict=True)):
        stage = nn.Sequential()
        if number > 0:
            stage.append(LastPool() if number == 4 else nn.MaxPool2d(2))
        for _ in range(count):
            stage.append(nn.Conv2d(width, out_channels, 3, padding=1))
            stage.append(nn.BatchNorm2d(out_channels))
            stage.append(nn.ReLU(inplace=True))
            width = out_channels
        stages[f"stage{number}" if number > 0 else "stem"] = stage
    model = ImageClassifier(stages, width, num_classes)
    init_convolutions(model)
    init_classifier(model.classifier)
    return model
