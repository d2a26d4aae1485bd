"""The batched augmentations against torchvision's, sample by sample."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as tv

from crcd.data import HorizontalFlip, PadCrop


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 3), st.integers(2, 9), st.integers(2, 9), st.integers(1, 4), st.integers(0, 99)
)
def test_pad_crop(b, c, h, w, padding, seed):
    g = torch.Generator().manual_seed(seed)
    image = torch.randint(256, (b, c, h, w), generator=g, dtype=torch.uint8)
    crop = PadCrop(padding)
    corner = crop.draw(b, g)
    assert corner.min() >= 0
    assert corner.max() <= 2 * padding
    out = crop.apply(image, corner)
    for i, (top, left) in enumerate(corner.tolist()):
        assert torch.equal(out[i], tv.crop(tv.pad(image[i], [padding] * 4), top, left, h, w))


def test_pad_crop_reaches_every_corner():
    corner = PadCrop(1).draw(500, torch.Generator().manual_seed(0))
    assert len(corner.unique(dim=0)) == 9


def test_flip():
    g = torch.Generator().manual_seed(0)
    image = torch.randint(256, (64, 3, 4, 5), generator=g, dtype=torch.uint8)
    flip = HorizontalFlip()
    chosen = flip.draw(64, g)
    assert 0 < chosen.sum() < 64
    out = flip.apply(image, chosen)
    for i, mirrored in enumerate(chosen[:, 0].tolist()):
        assert torch.equal(out[i], tv.horizontal_flip(image[i]) if mirrored else image[i])
