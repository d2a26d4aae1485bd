"""Random crop and flip of whole batches, on whatever device holds them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class CropFlip:
    """Crop of the original size out of the image padded with black pixels, and its mirror image half the time.

    Both are one gather. The parameters of all images of an epoch are drawn at once, so that they are a function of
    seed and epoch alone.

    Attributes:
        padding: pixels on each side.
        flip: mirror with probability 1/2; False for never.
    """

    padding: int = 4
    flip: bool = True

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Row and column of each crop's corner, and 1 where it is mirrored, int64, [count, 3]."""
        corner = torch.randint(2 * self.padding + 1, (count, 2), generator=generator)
        mirrored = torch.randint(2 if self.flip else 1, (count, 1), generator=generator)
        return torch.cat([corner, mirrored], dim=1)

    def apply(self, image_BCHW: Tensor, parameters_B3: Tensor) -> Tensor:
        """The crops, [B, C, H, W]."""
        b, c, h, w = image_BCHW.shape
        row, column, mirrored = parameters_B3.T[..., None]
        rows_BH = row + torch.arange(h, device=row.device)
        place_W = torch.arange(w, device=row.device)
        columns_BW = column + torch.where(mirrored == 1, w - 1 - place_W, place_W)
        pixel_BHW = rows_BH[:, :, None] * (w + 2 * self.padding) + columns_BW[:, None]
        padded_BCP = F.pad(image_BCHW, (self.padding,) * 4).flatten(2)
        return padded_BCP.gather(2, pixel_BHW.view(b, 1, -1).expand(-1, c, -1)).view(b, c, h, w)
