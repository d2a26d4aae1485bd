import base64
from io import BytesIO

import pytest
import torch
from PIL import Image

from crcd.data import TensorImages
from crcd.errors import CrcdError
from crcd.report import pictures
from crcd.report.pictures import Pictures


def sheet(shown):
    head, _, content = shown.sheet().partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(BytesIO(base64.b64decode(content)))


@pytest.mark.parametrize("channels", [1, 3])
def test_small_pictures_are_kept_to_the_bit(channels):
    torch.manual_seed(0)
    images = TensorImages(torch.randint(256, (9, channels, 8, 8), dtype=torch.uint8), torch.zeros(9))
    shown = Pictures(images)
    assert [shown.place(i) for i in (7, 2, 7, 5)] == [0, 1, 0, 2]
    assert (shown.columns, shown.rows, shown.small) == (2, 2, True)
    whole = torch.frombuffer(bytearray(sheet(shown).convert("RGB").tobytes()), dtype=torch.uint8).view(16, 16, 3)
    for place, i in enumerate((7, 2, 5)):
        y, x = 8 * (place // 2), 8 * (place % 2)
        assert torch.equal(
            whole[y : y + 8, x : x + 8].movedim(-1, 0), images.fetch(torch.tensor([i]))[0].expand(3, 8, 8)
        )


def test_large_pictures_are_made_smaller_and_there_are_not_too_many(monkeypatch):
    shown = Pictures(TensorImages(torch.full((5, 3, 200, 200), 90, dtype=torch.uint8), torch.zeros(5)))
    shown.place(3)
    assert sheet(shown).size == (64, 64)
    assert not shown.small
    monkeypatch.setattr(pictures, "MOST", 2)
    shown.place(1)
    with pytest.raises(CrcdError, match="2 pictures already"):
        shown.place(2)
