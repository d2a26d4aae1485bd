"""From a picture to what a classifier takes."""

from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms import v2

from crcd.data.decode import open_rgb, square
from crcd.models import ImageFormat


def read_picture(path: Path, images: ImageFormat) -> Tensor:
    """A picture as normalised pixels, x = (p / 255 - mean) / std; float32, [C, size, size].

    Its shorter side is resized to ``size``, antialiased, and the centre is cropped, as in the data sets of
    image files. For a network of grey images it is made grey first: 0.299 R + 0.587 G + 0.114 B.

    Raises:
        CorruptImageError: the file can't be decoded.
    """
    picture = open_rgb(path)
    picture = picture.convert("L") if images.channels == 1 else picture
    pixels_CHW = square(picture, images.size, v2.InterpolationMode(images.interpolation))
    mean_C11, std_C11 = (torch.tensor(values)[:, None, None] for values in (images.mean, images.std))
    return (pixels_CHW / 255 - mean_C11) / std_C11
