"""Random parts of whole batches at the size of the whole, and flip, on whatever device holds them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

LOG_RATIO = (math.log(3 / 4), math.log(4 / 3))
"""Logarithm of the least and greatest width of a part over its height (torchvision's)."""
TRIES = 10
"""Parts drawn for an image until one fits into it; the whole image where none does (torchvision's)."""


@dataclass(frozen=True)
class ResizedCropFlip:
    """A random part of a square image, resized bilinearly to the whole, and its mirror image half the time.

    The parts are those of torchvision's RandomResizedCrop, but for corners that need not lie on whole pixels. All of
    it is one ``grid_sample``; no part is larger than its image, so no antialiasing is due. The parameters of all
    images of an epoch are drawn at once, so that they are a function of seed and epoch alone.

    Attributes:
        scale: least and greatest area of a part, as a share of the image's.
        flip: mirror with probability 1/2; False for never.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    flip: bool = True

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Top, left, height and width as shares of the side, and 1 where mirrored, float32, [count, 5]."""

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return low + (high - low) * torch.rand(count, *shape, generator=generator)

        area_NT, ratio_NT = uniform(*self.scale, TRIES), uniform(*LOG_RATIO, TRIES).exp()
        side_NT2 = torch.stack([(area_NT / ratio_NT).sqrt(), (area_NT * ratio_NT).sqrt()], dim=2)
        fits_NT = (side_NT2 <= 1).all(dim=2)
        first_N = fits_NT.int().argmax(dim=1)
        side_N2 = torch.where(fits_NT.any(dim=1)[:, None], side_NT2[torch.arange(count), first_N], 1.0)
        corner_N2 = uniform(0, 1, 2) * (1 - side_N2)
        mirrored_N1 = torch.randint(2 if self.flip else 1, (count, 1), generator=generator)
        return torch.cat([corner_N2, side_N2, mirrored_N1], dim=1)

    def apply(self, image_BCHW: Tensor, parameters_B5: Tensor) -> Tensor:
        """The parts, float32, [B, C, H, W]."""
        top, left, height, width, mirrored = parameters_B5.T[..., None]
        row_BH = _places(top, height, image_BCHW.shape[2])
        column_BW = _places(left, width, image_BCHW.shape[3])
        column_BW = torch.where(mirrored == 1, column_BW.flip(1), column_BW)
        grid_BHW2 = torch.stack(torch.broadcast_tensors(column_BW[:, None, :], row_BH[:, :, None]), dim=3)
        return F.grid_sample(image_BCHW.float(), grid_BHW2, mode="bilinear", align_corners=False)


def _places(start_B1: Tensor, length_B1: Tensor, side: int) -> Tensor:
    """Where the resized part's pixels lie in the image, -1 to 1 from edge to edge, [B, side].

    They stay between the centres of the part's first and last pixel, so that no pixel beside the part is mixed in.
    """
    centre = (torch.arange(side, device=start_B1.device) + 0.5) / side
    first_B1, last_B1 = start_B1 + 0.5 / side, start_B1 + length_B1 - 0.5 / side
    place = torch.minimum(torch.maximum(start_B1 + length_B1 * centre, first_B1), torch.maximum(first_B1, last_B1))
    return 2 * place - 1
