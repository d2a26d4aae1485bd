"""Random crop and flip of whole batches, on whatever device holds them.

An augmentation draws the parameters of all images of an epoch at once, so that they are a function of seed and epoch
alone, and applies them as one gather.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Augmentation(Protocol):
    """Random parameters of images, and what they do."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Parameters of ``count`` images, int64, [count, P]."""
        ...

    def apply(self, image_BCHW: Tensor, parameters_BP: Tensor) -> Tensor:
        """Transformed images, [B, C, H, W]."""
        ...


class PadCrop:
    """Crop of the original size out of the image padded by ``padding`` black pixels on each side."""

    def __init__(self, padding: int = 4) -> None:
        self.padding = padding

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Row and column of each crop's corner, [count, 2]."""
        return torch.randint(2 * self.padding + 1, (count, 2), generator=generator)

    def apply(self, image_BCHW: Tensor, parameters_BP: Tensor) -> Tensor:
        """The crops."""
        b, _, h, w = image_BCHW.shape
        crops_BCRSHW = F.pad(image_BCHW, (self.padding,) * 4).unfold(2, h, 1).unfold(3, w, 1)
        return crops_BCRSHW[torch.arange(b, device=image_BCHW.device), :, parameters_BP[:, 0], parameters_BP[:, 1]]


class HorizontalFlip:
    """Mirror image with probability 1/2."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """1 where the image is mirrored, [count, 1]."""
        return torch.randint(2, (count, 1), generator=generator)

    def apply(self, image_BCHW: Tensor, parameters_BP: Tensor) -> Tensor:
        """Mirrored where the parameter says so."""
        return torch.where(parameters_BP[:, :, None, None] == 1, image_BCHW.flip(3), image_BCHW)
