"""One batch for networks of several image formats."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crcd.errors import CrcdError
from crcd.models.image_format import ImageFormat


class Adapt(nn.Module):
    """Normalised images of one format as those of another, on whatever device holds them and without waiting for it.

    An image is resized whole, antialiased, and x' = (x std + mean - mean') / std' makes of a pixel normalised by the
    one format what it is in the other; where bicubic resizing left the range of pixels, it is clipped to that. Grey
    images are repeated for networks of colour images.

    Args:
        source: format of the images that come.
        target: format that the network takes.

    Raises:
        CrcdError: images of colour for a network of grey ones.
    """

    def __init__(self, source: ImageFormat, target: ImageFormat) -> None:
        super().__init__()
        if source.channels not in (1, target.channels):
            raise CrcdError(
                f"the network takes images of {target.channels} channel, those of the data have {source.channels}: "
                "take a network of colour images"
            )
        self.size = None if source.size == target.size else (target.size, target.size)
        self.mode = target.interpolation
        mean, std, own_mean, own_std = (
            torch.tensor(values)[:, None, None] for values in (source.mean, source.std, target.mean, target.std)
        )
        self.scale_C11: Tensor
        self.shift_C11: Tensor
        self.black_C11: Tensor
        self.white_C11: Tensor
        self.register_buffer("scale_C11", std / own_std)
        self.register_buffer("shift_C11", (mean - own_mean) / own_std)
        self.register_buffer("black_C11", -own_mean / own_std)
        self.register_buffer("white_C11", (1 - own_mean) / own_std)

    def forward(self, image: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', size, size], channels last."""
        if self.size is not None and self.mode == "nearest":
            image = F.interpolate(image, self.size, mode="nearest-exact")
        elif self.size is not None:
            image = F.interpolate(image, self.size, mode=self.mode, align_corners=False, antialias=True)
        image = torch.addcmul(self.shift_C11, image, self.scale_C11)
        if self.mode == "bicubic":
            image = image.clamp(self.black_C11, self.white_C11)
        return image.contiguous(memory_format=torch.channels_last)


def adapt_between(source: ImageFormat, target: ImageFormat) -> Adapt | None:
    """What makes images of the one format such of the other; None where they are the same."""
    formats = [(each.channels, each.size, each.mean, each.std) for each in (source, target)]
    return None if formats[0] == formats[1] else Adapt(source, target)
