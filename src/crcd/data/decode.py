"""From an image file to pixels."""

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFile
from torch import Tensor
from torchvision.transforms import v2

from crcd.errors import CrcdError

BILINEAR = v2.InterpolationMode.BILINEAR

WHOLE_UP_TO = 100
"""Times the shorter side up to which a picture is resized as a whole: more would take memory for nothing."""

ImageFile.LOAD_TRUNCATED_IMAGES = False


class CorruptImageError(CrcdError):
    """A file that is no readable image."""


def decode(file: Path | BytesIO, size: int, name: str | None = None) -> Tensor:
    """RGB pixels of a file, shorter side resized to ``size``, centre cropped; uint8, [3, size, size].

    Of 16-bit greyscale the upper eight bits are taken. Transparency is left out.

    Args:
        file: where it lies, or what is in it.
        size: side of the square.
        name: what the file is called in messages; None for its path.

    Raises:
        CorruptImageError: the file can't be decoded.
    """
    return square(open_rgb(file, name), size)


def square(picture: Image.Image, size: int, interpolation: v2.InterpolationMode = BILINEAR) -> Tensor:
    """Pixels of a picture, shorter side resized to ``size``, centre cropped; uint8, [C, size, size]."""
    longest = WHOLE_UP_TO * min(picture.size)
    if max(picture.size) > longest:
        picture = v2.functional.center_crop(picture, [min(side, longest) for side in (picture.height, picture.width)])
    resized = v2.functional.resize(picture, [size], interpolation, antialias=True)
    pixels: Tensor = v2.functional.pil_to_tensor(v2.functional.center_crop(resized, [size, size]))
    return pixels.to(torch.uint8)


def open_rgb(file: Path | BytesIO, name: str | None = None) -> Image.Image:
    """The decoded picture in its own size; arguments and errors as of ``decode``."""
    try:
        with Image.open(file) as opened:
            return _rgb(opened)
    except MemoryError:
        raise
    except Exception as error:  # a decoder may fail at a broken file in any way
        raise CorruptImageError(f"{name or file} is not a readable image; mend it, or pass --skip-corrupt") from error


def _rgb(file: Image.Image) -> Image.Image:
    if file.mode == "F":
        raise ValueError("no scale is known for floating-point pixels")
    if file.mode.startswith("I"):
        return Image.fromarray((np.asarray(file) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    return file.convert("RGBA").convert("RGB") if file.mode == "P" else file.convert("RGB")
