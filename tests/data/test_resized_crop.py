"""The batched random part of an image against torchvision's, sample by sample."""

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from crcd.data import ResizedCropFlip

SIDE = 12


def image(count: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, SIDE, SIDE), generator=g, dtype=torch.uint8)


def test_parts_on_whole_pixels_are_torchvisions():
    boxes = torch.tensor([(0, 0, SIDE, SIDE), (3, 2, 5, 7), (0, 9, 3, 3), (11, 11, 1, 1), (4, 0, 8, 12)])
    mirrored = torch.tensor([0, 1, 0, 0, 1])
    parts = ResizedCropFlip().apply(image(5), torch.cat([boxes / SIDE, mirrored[:, None]], dim=1))
    for whole, box, flip, part in zip(image(5).float(), boxes.tolist(), mirrored, parts, strict=True):
        wanted = tv.resized_crop(whole, *box, [SIDE, SIDE])
        torch.testing.assert_close(part, tv.horizontal_flip(wanted) if flip else wanted, atol=1e-3, rtol=0)


def test_parts_are_drawn_as_torchvision_draws_them():
    """Of 10,000 parts: means and deviations of area and shape, and the share of whole images."""
    scale = (0.08, 1.0)
    drawn = ResizedCropFlip(scale).draw(10_000, torch.Generator().manual_seed(0))
    top, left, height, width, mirrored = drawn.T
    assert (drawn[:, :4] >= 0).all()
    assert ((top + height).max() <= 1 + 1e-6) & ((left + width).max() <= 1 + 1e-6)
    assert mirrored.mean() == pytest.approx(0.5, abs=0.02)
    torch.manual_seed(0)
    crop, whole = v2.RandomResizedCrop(1000, scale), [torch.zeros(1, 1000, 1000)]
    theirs = [[crop.make_params(whole)[k] / 1000 for k in ("top", "height", "width")] for _ in range(10_000)]
    their_top, their_height, their_width = torch.tensor(theirs).T
    pairs = ((top, their_top), (height, their_height), (width, their_width))
    for mine, other in pairs:
        assert mine.mean() == pytest.approx(other.mean().item(), abs=0.01)
        assert mine.std() == pytest.approx(other.std().item(), abs=0.01)
    assert not ResizedCropFlip(scale, flip=False).draw(100, torch.Generator())[:, 4].any()
    assert torch.equal(
        ResizedCropFlip((1.0, 1.0), flip=False).draw(9, torch.Generator())[:, :4].mean(0), torch.tensor([0.0, 0, 1, 1])
    )
