"""Pictures of test images, all in one file within the page."""

import base64
import math
from dataclasses import dataclass, field
from io import BytesIO

import torch
from PIL import Image
from torch import Tensor

from crcd.data import Images
from crcd.errors import CrcdError

MOST_PIXELS = 64
"""Side of a picture in the page; larger ones are made smaller."""
LOSSLESS = 32
"""Side up to which pictures are kept to the bit."""
MOST = 400
"""Pictures in a page."""


@dataclass
class Pictures:
    """The pictures that a page shows; each image is kept once.

    Args:
        images: where they are from.
    """

    images: Images
    _places: dict[int, int] = field(default_factory=dict)

    def place(self, index: int) -> int:
        """Place of image ``index`` among the pictures; it is added if it is not among them yet.

        Raises:
            CrcdError: there are too many of them.
        """
        if index not in self._places:
            if len(self._places) >= MOST:
                raise CrcdError(f"there are {MOST} pictures already, which is as many as a page takes")
            self._places[index] = len(self._places)
        return self._places[index]

    @property
    def columns(self) -> int:
        """Pictures in a row of the sheet."""
        return max(1, math.ceil(math.sqrt(len(self._places))))

    @property
    def rows(self) -> int:
        """Rows of the sheet."""
        return max(1, math.ceil(len(self._places) / self.columns))

    @property
    def small(self) -> bool:
        """Whether pixels are to be seen as squares."""
        return self.images.shape[1] <= LOSSLESS

    def sheet(self) -> str:
        """All of them side by side as a data URI, WebP."""
        side = min(self.images.shape[1], MOST_PIXELS)
        sheet = Image.new("RGB", (self.columns * side, self.rows * side))
        for index, place in self._places.items():
            picture = _picture(self.images.fetch(torch.tensor([index]))[0])
            if picture.size != (side, side):
                picture = picture.resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(picture, (place % self.columns * side, place // self.columns * side))
        file = BytesIO()
        sheet.save(file, "WEBP", lossless=side <= LOSSLESS, quality=80)
        return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _picture(pixels_CHW: Tensor) -> Image.Image:
    pixels_HWC = pixels_CHW.cpu().movedim(0, -1).numpy()
    if pixels_HWC.shape[-1] == 1:
        return Image.fromarray(pixels_HWC[..., 0]).convert("RGB")
    return Image.fromarray(pixels_HWC)
