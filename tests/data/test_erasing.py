"""Boxes erased from batches against torchvision's, and what they change in a loader."""

import pytest
import torch
from torchvision.transforms import v2

from crcd.data import CropFlip, Erasing, Loader, Mix, PictureAugment, TensorImages

SIDE = 12


def loader(erasing, count=20, batch_size=5, pool=None, **settings) -> Loader:
    g = torch.Generator().manual_seed(0)
    images = TensorImages(
        torch.randint(256, (count, 3, SIDE, SIDE), generator=g, dtype=torch.uint8), torch.zeros(count, dtype=torch.long)
    )
    fixed = {"augment": CropFlip(2), "mean": (0.3, 0.4, 0.5), "std": (0.2,) * 3, "seed": 0, "train": True}
    return Loader(images, batch_size, device=torch.device("cpu"), erasing=erasing, pool=pool, **(fixed | settings))


def test_boxes_are_erased_as_torchvision_erases_them():
    images = torch.randn(5, 3, SIDE, SIDE)
    boxes = torch.tensor([(0, 0, 0, 0), (0, 0, 11, 11), (3, 2, 5, 7), (11, 11, 12, 12), (4, 0, 12, 1)])
    erased = Erasing(1.0, SIDE).apply(images, boxes)
    for image, (top, left, bottom, right), found in zip(images, boxes.tolist(), erased, strict=True):
        wanted = v2.functional.erase(image, top, left, bottom - top, right - left, torch.zeros(3, 1, 1))
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("side", [8, 224])
def test_boxes_are_drawn_as_torchvision_draws_them(side):
    """Of 10,000 boxes: means and deviations of their sides and places, shares of the image's side."""
    boxes = Erasing(1.0, side).draw(10_000, torch.Generator().manual_seed(0))
    assert boxes.dtype == torch.int64
    top, left, bottom, right = boxes.T
    assert boxes.min() >= 0
    assert boxes.max() <= side
    height, width = bottom - top, right - left
    assert height.max() < side
    assert width.max() < side
    torch.manual_seed(0)
    theirs, whole = v2.RandomErasing(1.0), [torch.zeros(3, side, side)]
    params = [theirs.make_params(whole) for _ in range(10_000)]
    wanted = torch.tensor([[p[k] for k in ("i", "j", "h", "w")] for p in params if p["v"] is not None])
    assert len(wanted) > 9_990
    for mine, other in zip((top, left, height, width), wanted.T, strict=True):
        assert mine.float().mean() / side == pytest.approx(other.float().mean().item() / side, abs=0.01)
        assert mine.float().std() / side == pytest.approx(other.float().std().item() / side, abs=0.01)


def test_so_many_images_lose_a_box():
    for probability in (0.0, 0.25, 1.0):
        boxes = Erasing(probability, 32).draw(10_000, torch.Generator().manual_seed(1))
        assert boxes.any(dim=1).float().mean() == pytest.approx(probability, abs=0.02)


@pytest.mark.parametrize("picture", [None, PictureAugment(policy="trivialaugment")])
@pytest.mark.parametrize("mix", [None, Mix(0.2, 1.0, 0.5)])
def test_erasing_changes_nothing_but_its_boxes(picture, mix):
    """Order, crops, policies and mixing stay as they are without it; what is erased is the data's mean."""
    plain, erasing = (loader(own, picture=picture, mix=mix) for own in (None, Erasing(1.0, SIDE)))
    assert next(plain.inputs(3)).box_B4 is None
    for one, other in zip(plain.inputs(3), erasing.inputs(3), strict=True):
        assert torch.equal(one.index_B, other.index_B)
        assert torch.equal(one.parameters_BP, other.parameters_BP)
        if mix is not None:
            assert torch.equal(one.mix_B5, other.mix_B5)
            continue
        before, after = plain.batch(one).image, erasing.batch(other).image
        gone = (after == 0).all(dim=1)
        for box, image_HW in zip(other.box_B4.tolist(), gone, strict=True):
            top, left, bottom, right = box
            assert image_HW[top:bottom, left:right].all()
            assert 0 < image_HW.sum() < SIDE**2
        assert torch.equal(after, before.masked_fill(gone[:, None], 0))


def test_boxes_go_before_mixing():
    mixed = loader(Erasing(1.0, SIDE), mix=Mix(1.0, 0.0, 1.0))
    for inputs in mixed.inputs(0):
        parts = mixed.erasing.apply(mixed.batch(inputs._replace(mix_B5=None, box_B4=None)).image, inputs.box_B4)
        assert torch.equal(mixed.batch(inputs).image, mixed.mix.apply(parts, inputs.mix_B5)[0])


def test_an_image_loses_the_same_box_in_any_batch_and_sitting_and_another_in_other_epochs():
    def boxes(source: Loader, epoch: int, start: int = 0) -> dict[int, list[int]]:
        inputs = source.inputs(epoch, start)
        return {int(i): box.tolist() for own in inputs for i, box in zip(own.index_B, own.box_B4, strict=True)}

    erasing = Erasing(1.0, SIDE)
    whole = boxes(loader(erasing), 1)
    assert boxes(loader(erasing, batch_size=10), 1) == whole
    rest = boxes(loader(erasing), 1, start=2)
    assert len(rest) == 10
    assert all(whole[i] == box for i, box in rest.items())
    assert all(whole != boxes(loader(erasing, seed=seed), epoch) for seed, epoch in ((0, 2), (1, 1)))
    assert len({tuple(box) for box in whole.values()}) > 10


def test_each_view_of_a_pool_has_its_boxes_whatever_the_seed():
    erasing = Erasing(0.5, SIDE)
    seen: dict[tuple[int, int], list[int]] = {}
    for seed in (0, 7):
        for epoch in range(4):
            for own in loader(erasing, pool=2, seed=seed).inputs(epoch):
                for view, i, box in zip(
                    own.pool_view_B.tolist(), own.index_B.tolist(), own.box_B4.tolist(), strict=True
                ):
                    assert seen.setdefault((view, i), box) == box
    assert len(seen) == 40
    assert any(seen[0, i] != seen[1, i] for i in range(20))
    pooled = loader(erasing, pool=2)
    (inputs,) = loader(erasing, pool=2, batch_size=20).pool_inputs(1)
    assert inputs.box_B4.tolist() == [seen[1, i] for i in range(20)]
    identities = {str(loader(own, pool=2).pool_identity()) for own in (None, erasing, Erasing(0.25, SIDE))}
    assert len(identities) == 3
    assert pooled.pool_identity() == loader(erasing, pool=5).pool_identity()


def test_scored_images_lose_nothing():
    assert next(loader(Erasing(1.0, SIDE), train=False).inputs(0)).box_B4 is None
