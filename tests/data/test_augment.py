"""The batched augmentation against torchvision's, sample by sample."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as tv

from crcd.data import CropFlip


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(2, 9),
    st.integers(2, 9),
    st.integers(0, 4),
    st.booleans(),
    st.integers(0, 99),
)
def test_crop_and_flip(b, c, h, w, padding, flip, seed):
    g = torch.Generator().manual_seed(seed)
    image = torch.randint(256, (b, c, h, w), generator=g, dtype=torch.uint8)
    augment = CropFlip(padding, flip)
    parameters = augment.draw(b, g)
    assert parameters.min() >= 0
    assert parameters[:, :2].max() <= 2 * padding
    assert parameters[:, 2].max() <= flip
    out = augment.apply(image, parameters)
    for i, (top, left, mirrored) in enumerate(parameters.tolist()):
        crop = tv.crop(tv.pad(image[i], [padding] * 4), top, left, h, w)
        assert torch.equal(out[i], tv.horizontal_flip(crop) if mirrored else crop)


def test_every_corner_and_both_sides_are_drawn():
    parameters = CropFlip(1).draw(1000, torch.Generator().manual_seed(0))
    assert len(parameters.unique(dim=0)) == 18
