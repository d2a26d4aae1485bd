"""Batches: order, augmentation and normalisation as a function of seed and epoch."""

import pytest
import torch

from crcd.data import HorizontalFlip, Loader, PadCrop, TensorImages
from crcd.errors import CrcdError

CPU = torch.device("cpu")


def images(n: int = 23) -> TensorImages:
    g = torch.Generator().manual_seed(0)
    return TensorImages(torch.randint(256, (n, 3, 8, 8), generator=g, dtype=torch.uint8), torch.arange(n) % 4)


def loader(batch_size: int = 5, *, train: bool = True, seed: int = 0, source: TensorImages | None = None) -> Loader:
    return Loader(
        source or images(), batch_size, augment=[PadCrop(2), HorizontalFlip()], mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6), device=CPU, seed=seed, train=train,
    )  # fmt: skip


def test_training_epoch_shows_each_image_at_most_once():
    batches = list(loader().epoch(3))
    assert len(batches) == len(loader()) == 4
    index = torch.cat([batch.index for batch in batches])
    assert len(index.unique()) == 20
    assert index.tolist() != sorted(index.tolist())
    assert all(torch.equal(batch.target, batch.index % 4) for batch in batches)
    assert batches[0].image.is_contiguous(memory_format=torch.channels_last)


def test_same_epoch_same_batches_and_resume_is_the_tail():
    first, again = list(loader().epoch(2)), list(loader().epoch(2, start_step=1))
    for a, b in zip(first[1:], again, strict=True):
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.index, b.index)


@pytest.mark.parametrize(("seed", "epoch"), [(0, 1), (1, 0)])
def test_other_seed_or_epoch_other_batches(seed, epoch):
    a, b = next(loader().epoch(0)), next(loader(seed=seed).epoch(epoch))
    assert not torch.equal(a.index, b.index)


def test_scoring_is_in_order_whole_and_without_augmentation():
    source = images()
    batches = list(loader(train=False, source=source).epoch(0))
    assert [len(batch.target) for batch in batches] == [5, 5, 5, 5, 3]
    assert torch.equal(torch.cat([batch.index for batch in batches]), torch.arange(23))
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    expected = (source.image_NCHW / 255 - mean) / std
    torch.testing.assert_close(torch.cat([batch.image for batch in batches]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("size", "message"), [(1, "two samples or more"), (24, "more than the 23 training images")])
def test_batch_size_that_cannot_be(size, message):
    with pytest.raises(CrcdError, match=message):
        loader(size)
