"""Pixels of image files, and files that are none."""

import contextlib
import io

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from crcd.data.decode import BILINEAR, CorruptImageError, decode, square


def test_shorter_side_and_centre(tmp_path):
    pixels = np.zeros((8, 24, 3), dtype=np.uint8)
    pixels[:, 8:16] = (250, 130, 10)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    expected = torch.tensor([250, 130, 10], dtype=torch.uint8)[:, None, None].expand(3, 8, 8)
    assert torch.equal(decode(tmp_path / "wide.png", 8), expected)


@pytest.mark.parametrize("size", [4, 32])
@pytest.mark.parametrize("shape", [(9, 20), (20, 9), (1, 50)])
def test_every_shape_becomes_a_square(tmp_path, size, shape):
    Image.new("L", shape, 77).save(tmp_path / "a.png")
    assert torch.equal(decode(tmp_path / "a.png", size), torch.full((3, size, size), 77, dtype=torch.uint8))


def test_sixteen_bit_greyscale_keeps_its_upper_bits(tmp_path):
    row = np.array([0, 255, 256, 0x8000, 0xFFFF], dtype=np.uint16)
    Image.fromarray(np.tile(row, (5, 1))).save(tmp_path / "deep.png")
    assert decode(tmp_path / "deep.png", 5)[:, 0].tolist() == [[0, 0, 1, 0x80, 0xFF]] * 3


def test_floating_point_pixels_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(CorruptImageError, match=r"a\.tiff is not a readable image"):
        decode(tmp_path / "a.tiff", 4)


def test_a_very_long_picture_is_cropped_before_it_is_resized(tmp_path, monkeypatch):
    """What is far from the centre has no part in the square; 1x20000 at 224 would be 4.5 million columns."""
    pixels = np.zeros((1, 20_001, 3), dtype=np.uint8)
    pixels[:, 9_990:10_011] = (250, 130, 10)
    Image.fromarray(pixels).save(tmp_path / "long.png")
    widths = []
    resize = v2.functional.resize

    def watched(picture, *sizes, **options):
        widths.append(picture.size)
        return resize(picture, *sizes, **options)

    monkeypatch.setattr(v2.functional, "resize", watched)
    expected = torch.tensor([250, 130, 10], dtype=torch.uint8)[:, None, None].expand(3, 224, 224)
    assert torch.equal(decode(tmp_path / "long.png", 224), expected)
    assert widths == [(100, 1)]


@pytest.mark.parametrize("shape", [(100, 1), (3, 300), (40, 31)])
def test_other_pictures_are_resized_as_a_whole(shape):
    pixels = np.random.default_rng(0).integers(256, size=(*shape, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    resized = v2.functional.resize(picture, [8], BILINEAR, antialias=True)
    assert torch.equal(square(picture, 8), v2.functional.pil_to_tensor(v2.functional.center_crop(resized, [8, 8])))


@pytest.mark.parametrize("kind", [2, 5, 7, 11])
def test_a_tiff_whose_tag_is_of_another_type(tmp_path, kind):
    """PIL raises TypeError."""
    changed = bytearray(encoded("TIFF"))
    changed[72] = kind
    (tmp_path / "a.tiff").write_bytes(changed)
    with pytest.raises(CorruptImageError, match=r"a\.tiff is not a readable image"):
        decode(tmp_path / "a.tiff", 4)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(256, size=(16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM"]),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=5),
    st.integers(0, 1000),
)
def test_damaged_bytes_are_an_image_or_a_corrupt_one(tmp_path, kind, changes, length):
    damaged = bytearray(encoded(kind))
    for place, value in changes:
        damaged[place % len(damaged)] = value
    (tmp_path / "x").write_bytes(damaged[:length])
    with contextlib.suppress(CorruptImageError):
        assert decode(tmp_path / "x", 8).shape == (3, 8, 8)
