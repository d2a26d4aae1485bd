import numpy as np
import pytest
import timm
import torch
from PIL import Image

from crcd.data.decode import CorruptImageError, decode
from crcd.export.picture import read_picture
from crcd.models import ImageFormat

COLOUR = ImageFormat(3, 16, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))


@pytest.fixture(params=[(37, 23), (20, 41), (16, 16)], ids=str)
def picture(request, tmp_path):
    width, height = request.param
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    return tmp_path / "p.png"


def timms(images):
    """The transform that timm makes of an export's config.json."""
    return timm.data.create_transform(
        input_size=(images.channels, images.size, images.size),
        is_training=False,
        mean=images.mean,
        std=images.std,
        interpolation=images.interpolation,
        crop_pct=1.0,
        crop_mode="center",
    )


def test_it_is_that_of_the_data_sets(picture):
    mean, std = (torch.tensor(values)[:, None, None] for values in (COLOUR.mean, COLOUR.std))
    expected = (decode(picture, 16) / 255 - mean) / std
    assert torch.equal(read_picture(picture, COLOUR), expected)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_it_is_timms_transform(picture, interpolation):
    images = ImageFormat(3, 16, COLOUR.mean, COLOUR.std, interpolation)
    transform = timms(images)
    torch.testing.assert_close(read_picture(picture, images), transform(Image.open(picture)))


def test_grey(picture):
    images = ImageFormat(1, 16, (0.5,), (0.25,))
    found = read_picture(picture, images)
    transform = timms(images)
    assert found.shape == (1, 16, 16)
    torch.testing.assert_close(found, transform(Image.open(picture).convert("L")))


def test_grey_pictures_of_their_own_size_keep_their_pixels(tmp_path):
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    found = read_picture(tmp_path / "grey.png", ImageFormat(1, 8, (0.0,), (1.0,)))
    assert np.array_equal((found[0] * 255).round().numpy(), pixels)


def test_no_picture(tmp_path):
    (tmp_path / "p.png").write_text("no picture")
    with pytest.raises(CorruptImageError):
        read_picture(tmp_path / "p.png", COLOUR)
