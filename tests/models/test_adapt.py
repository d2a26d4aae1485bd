from itertools import product

import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms import v2

from crcd.errors import CrcdError
from crcd.models import Adapt, ImageFormat, adapt_between

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
DATA = ImageFormat(3, 32, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def normalised(pixels_BCHW, images):
    """As the loader gives pixels of 0 to 255."""
    return v2.functional.normalize(pixels_BCHW.float() / 255, list(images.mean), list(images.std))


@pytest.mark.parametrize(("size", "kind"), list(product((16, 32, 48), ("nearest", "bilinear", "bicubic"))))
def test_is_the_other_formats_own_resizing_and_normalisation(size, kind):
    pixels = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    target = ImageFormat(3, size, **IMAGENET, interpolation=kind)
    mode = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}[kind]
    resized = v2.functional.resize(pixels.float(), [size, size], v2.InterpolationMode(mode), antialias=True)
    expected = normalised(resized.clamp(0, 255), target)
    found = Adapt(DATA, target)(normalised(pixels, DATA))
    assert found.shape == (2, 3, size, size)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_bicubic_stays_within_the_range_of_pixels():
    pixels = torch.zeros(1, 3, 32, 32)
    pixels[..., 16:] = 255
    target = ImageFormat(3, 64, **IMAGENET, interpolation="bicubic")
    found = Adapt(DATA, target)(normalised(pixels, DATA))
    bounds = [normalised(torch.full((1, 3, 64, 64), value), target) for value in (0, 255)]
    assert (found >= bounds[0] - 1e-5).all()
    assert (found <= bounds[1] + 1e-5).all()
    assert F.interpolate(pixels, 64, mode="bicubic").max() > 255


def test_grey_images_are_repeated_for_networks_of_colour():
    grey = ImageFormat(1, 8, (0.3,), (0.5,))
    pixels = torch.randint(256, (2, 1, 8, 8), dtype=torch.uint8)
    found = Adapt(grey, ImageFormat(3, 8, **IMAGENET))(normalised(pixels, grey))
    torch.testing.assert_close(found, normalised(pixels.expand(-1, 3, -1, -1), ImageFormat(3, 8, **IMAGENET)))


def test_colour_images_for_a_network_of_grey_ones():
    with pytest.raises(CrcdError, match="takes images of 1 channel, those of the data have 3"):
        Adapt(DATA, ImageFormat(1, 32, (0.5,), (0.5,)))


def test_the_same_format_is_left_alone():
    assert adapt_between(DATA, ImageFormat(3, 32, DATA.mean, DATA.std, "bicubic")) is None
    assert adapt_between(DATA, ImageFormat(3, 32, **IMAGENET)) is not None
