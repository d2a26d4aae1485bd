"""Classes of unequal size: weights, and orders in which each class comes as often."""

import pytest
import torch

from crcd.data import CropFlip, Loader, PictureAugment, TensorImages, class_weights
from crcd.data.balance import balanced_order

LABELS = torch.tensor([0] * 50 + [1] * 3 + [-1] * 7 + [3] * 10)


def order(seed: int, labels: torch.Tensor = LABELS) -> torch.Tensor:
    return balanced_order(labels, torch.Generator().manual_seed(seed))


def test_weights_are_of_mean_one_and_sum_up_alike():
    weight = class_weights(LABELS, 5)
    torch.testing.assert_close(weight, torch.tensor([63 / 150, 63 / 9, 0, 63 / 30, 0]))
    known = LABELS[LABELS >= 0]
    assert weight[known].mean() == pytest.approx(1)
    for label in (0, 1, 3):
        assert weight[known[known == label]].sum() == pytest.approx(21)


@pytest.mark.parametrize("seed", range(5))
def test_each_class_comes_as_often_and_its_images_in_turns(seed):
    numbers = order(seed)
    assert len(numbers) == len(LABELS)
    assert torch.bincount(LABELS[numbers] + 1).tolist() == [7, 21, 21, 0, 21]
    times = torch.bincount(numbers, minlength=len(LABELS))
    assert times[LABELS == 0].max() == 1
    assert times[LABELS == 1].tolist() == [7, 7, 7]
    assert sorted(times[LABELS == 3].tolist()) == [2] * 9 + [3]
    assert times[LABELS == -1].tolist() == [1] * 7
    assert torch.equal(numbers, order(seed))


def test_what_is_left_over_and_left_out_is_random():
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    assert {tuple(torch.bincount(labels[order(seed, labels)]).tolist()) for seed in range(9)} == {(2, 2, 2)}
    more = torch.cat([labels, torch.tensor([0])])
    assert len({tuple(torch.bincount(more[order(seed, more)]).tolist()) for seed in range(30)}) == 3
    assert len({frozenset(order(seed, labels).tolist()) for seed in range(30)}) == 3
    assert len({tuple(order(seed).tolist()) for seed in range(9)}) == 9


@pytest.mark.parametrize("pool", [None, 3])
def test_an_image_that_comes_again_looks_otherwise(pool):
    g = torch.Generator().manual_seed(0)
    images = TensorImages(torch.randint(256, (40, 3, 8, 8), generator=g, dtype=torch.uint8), torch.arange(40) // 39)

    def loader(pool):
        fixed = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "device": torch.device("cpu"), "seed": 0, "train": True}
        picture = PictureAugment(policy="randaugment")
        return Loader(images, 10, augment=CropFlip(2), picture=picture, balanced=True, pool=pool, **fixed)

    batches = list(loader(pool).epoch(1))
    rare = torch.cat([batch.image[batch.index == 39] for batch in batches])
    assert len(rare) == 20
    assert 3 >= len(rare.unique(dim=0)) > 1 if pool else len(rare.unique(dim=0)) > 10
    for a, b in zip(batches[2:], loader(pool).epoch(1, 2), strict=True):
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.index, b.index)
    if pool:
        shown = {}
        for batch in batches:
            for view, index, image in zip(batch.pool_view.tolist(), batch.index.tolist(), batch.image, strict=True):
                assert torch.equal(shown.setdefault((view, index), image), image)
