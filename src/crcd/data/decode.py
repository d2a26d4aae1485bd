"""From an image file to pixels."""

from pathlib import Path

import torch
from PIL import Image, ImageFile, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms import v2

from crcd.errors import CrcdError

ImageFile.LOAD_TRUNCATED_IMAGES = False


class CorruptImageError(CrcdError):
    """A file that is no readable image."""


def decode(path: Path, size: int) -> Tensor:
    """RGB pixels of a file, shorter side resized to ``size``, centre cropped; uint8, [3, size, size].

    Raises:
        CorruptImageError: the file can't be decoded.
    """
    try:
        with Image.open(path) as file:
            image = file.convert("RGBA").convert("RGB") if file.mode == "P" else file.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise CorruptImageError(f"{path} is not a readable image; mend it, or pass --skip-corrupt") from error
    resized = v2.functional.resize(image, [size], antialias=True)
    pixels: Tensor = v2.functional.pil_to_tensor(v2.functional.center_crop(resized, [size, size]))
    return pixels.to(torch.uint8)
