"""Random boxes of whole batches blanked out, on whatever device holds them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

AREA = (0.02, 0.33)
"""Least and greatest area of a box, as a share of the image's (torchvision's)."""
LOG_RATIO = (math.log(0.3), math.log(3.3))
"""Logarithm of the least and greatest height of a box over its width (torchvision's)."""
TRIES = 10
"""Boxes drawn for an image until one fits into it; none is erased where none does (torchvision's)."""


@dataclass(frozen=True)
class Erasing:
    """Random erasing (Zhong et al., AAAI 2020): a box of some images is replaced by the mean colour of the data.

    The boxes are those of torchvision's RandomErasing, which is used after normalisation, too. The parameters of all
    images of an epoch are drawn at once, so that they are a function of seed and epoch alone.

    Attributes:
        probability: that an image loses a box.
        side: of the square images, pixels.
    """

    probability: float
    side: int

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Top, left, bottom and right of each box, the latter two beyond it; all 0 for none, int64, [count, 4]."""

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return low + (high - low) * torch.rand(count, *shape, generator=generator)

        erased_N = uniform(0, 1) < self.probability
        area_NT, ratio_NT = uniform(*AREA, TRIES) * self.side**2, uniform(*LOG_RATIO, TRIES).exp()
        box_NT2 = torch.stack([(area_NT * ratio_NT).sqrt(), (area_NT / ratio_NT).sqrt()], dim=2).round().long()
        fits_NT = (box_NT2 < self.side).all(dim=2)
        box_N2 = box_NT2[torch.arange(count), fits_NT.int().argmax(dim=1)]
        corner_N2 = (uniform(0, 1, 2) * (self.side - box_N2 + 1)).long()
        usable_N1 = (erased_N & fits_NT.any(dim=1))[:, None]
        return torch.cat([corner_N2, corner_N2 + box_N2], dim=1) * usable_N1

    def apply(self, image_BCHW: Tensor, box_B4: Tensor) -> Tensor:
        """Normalised images without their boxes, [B, C, H, W]."""
        top, left, bottom, right = box_B4.T[..., None]
        row_H, column_W = (torch.arange(n, device=box_B4.device) for n in image_BCHW.shape[2:])
        rows_BH, columns_BW = (top <= row_H) & (row_H < bottom), (left <= column_W) & (column_W < right)
        box_BHW = rows_BH[:, :, None] & columns_BW[:, None, :]
        return image_BCHW.masked_fill(box_BHW[:, None], 0.0)
