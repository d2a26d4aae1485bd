"""Mixed images are of the pixels, and of the labels, that they say."""

import pytest
import torch

from crcd.data import Loader, Mix, TensorImages


def draw(mix: Mix, count: int = 4000) -> torch.Tensor:
    return mix.draw(count, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("mix", [Mix(0.4, 0.0, 0.5), Mix(0.0, 1.0, 0.5), Mix(0.4, 1.0, 0.5)])
def test_the_share_is_that_of_the_pixels(mix):
    """Images of one level each: what an image has of its own can be read off it."""
    level = torch.arange(40.0)
    image = level[:, None, None, None].expand(-1, 3, 9, 7)
    mixed, mixture = mix.apply(image, draw(mix, 40))
    expected = mixture.share_B * level + (1 - mixture.share_B) * level[mixture.partner_B]
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), expected)
    assert 10 < mixture.is_mixed.sum() < 30
    assert torch.equal(mixed[~mixture.is_mixed], image[~mixture.is_mixed])
    assert mixture.partner_B.tolist() == [(i - m) % 40 for i, m in enumerate(mixture.is_mixed.int().tolist())]


def test_what_is_not_mixed_has_all_of_its_share_on_any_device(monkeypatch):
    """A GPU's mean multiplies by the rounded 1 / n: of 11 x 11 ones it is below 1."""

    def mean(self, dim, keepdim=False):
        total = self.sum(dim=dim, keepdim=keepdim)
        return total * (torch.tensor(total.numel() / self.numel()))

    assert (mean(torch.ones(2, 11, 11), (1, 2)) < 1).all()
    monkeypatch.setattr(torch.Tensor, "mean", mean)
    _, mixture = Mix(0.0, 1.0, 0.5).apply(torch.zeros(40, 1, 11, 11), draw(Mix(0.0, 1.0, 0.5), 40))
    assert 10 < mixture.is_mixed.sum() < 30


def test_cutmix_takes_a_box_and_mixup_all():
    image = torch.arange(30.0)[:, None, None, None].expand(-1, 1, 12, 12)
    mixed, mixture = Mix(0.0, 1.0, 1.0).apply(image, draw(Mix(0.0, 1.0, 1.0), 30))
    for i, pixels in enumerate(mixed[:, 0]):
        other = pixels != i
        rows, columns = other.any(1), other.any(0)
        assert torch.equal(other, rows[:, None] & columns)
        assert set(pixels.unique().tolist()) <= {i, (i - 1) % 30}
    assert len(mixture.share_B.unique()) > 20
    mixed, _ = Mix(1.0, 0.0, 1.0).apply(image, draw(Mix(1.0, 0.0, 1.0), 30))
    assert all(len(pixels.unique()) == 1 for pixels in mixed)


def test_shares_are_of_beta():
    """Beta(alpha, alpha) has mean 1/2 and variance 1 / (4 (2 alpha + 1)); the box of cutmix has that area, uncut."""
    outside = draw(Mix(0.4, 0.0, 1.0))[:, 0]
    assert outside.mean() == pytest.approx(0.5, abs=0.02)
    assert outside.var().item() == pytest.approx(1 / (4 * 1.8), abs=0.01)
    box = draw(Mix(0.0, 1.0, 1.0))
    area = (box[:, 3] - box[:, 1]) * (box[:, 4] - box[:, 2])
    assert area.mean() == pytest.approx(0.5, abs=0.02)
    assert area.var().item() == pytest.approx(1 / 12, abs=0.01)
    assert (box[:, 0] == 1).all()


def test_with_both_half_of_the_mixed_images_are_of_each():
    both = draw(Mix(1.0, 1.0, 0.6))
    in_box, whole = both[:, 3] > both[:, 1], both[:, 0] < 1
    assert in_box.float().mean() == pytest.approx(0.3, abs=0.03)
    assert whole.float().mean() == pytest.approx(0.3, abs=0.03)
    assert not (in_box & whole).any()


def test_batches_are_mixed_as_a_function_of_seed_and_epoch():
    g = torch.Generator().manual_seed(0)
    images = TensorImages(torch.randint(256, (20, 1, 8, 8), generator=g, dtype=torch.uint8), torch.arange(20) % 4)

    def loader(mix):
        fixed = {"mean": (0.5,), "std": (0.5,), "device": torch.device("cpu"), "seed": 0, "train": True}
        return Loader(images, 5, augment=None, mix=mix, **fixed)

    first, again = list(loader(Mix(0.2, 1.0, 0.5)).epoch(1)), list(loader(Mix(0.2, 1.0, 0.5)).epoch(1, 2))
    for a, b in zip(first[2:], again, strict=True):
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.mixture.share_B, b.mixture.share_B)
    for a, b in zip(first, loader(None).epoch(1), strict=True):
        assert torch.equal(a.index, b.index)
        assert torch.equal(a.image[~a.mixture.is_mixed], b.image[~a.mixture.is_mixed])
        assert not torch.equal(a.image, b.image)
        assert b.mixture is None
