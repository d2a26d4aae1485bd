"""What is done to each picture by itself is a function of seed, epoch and sample alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from crcd.data import CropFlip, FolderImages, Loader, PictureAugment, TensorImages
from crcd.data.decode import open_rgb

WHOLE = PictureAugment(crop_scale=(0.1, 1.0), policy="randaugment")


def files(folder: Path, count: int = 8) -> FolderImages:
    pixels = np.random.default_rng(0).integers(256, size=(count, 14, 20, 3), dtype=np.uint8)
    for i in range(count):
        Image.fromarray(pixels[i]).save(folder / f"{i}.png")
    return FolderImages([folder / f"{i}.png" for i in range(count)], torch.arange(count) % 3, 8)


def loader(images, picture, **settings) -> Loader:
    fixed = {"batch_size": 3, "augment": CropFlip(1), "mean": (0.5,) * 3, "std": (0.5,) * 3, "seed": 0}
    return Loader(images, device=torch.device("cpu"), train=True, picture=picture, **(fixed | settings))


def shown(source: Loader, epoch: int, start: int = 0) -> dict[int, torch.Tensor]:
    return {
        int(i): image for batch in source.epoch(epoch, start) for i, image in zip(batch.index, batch.image, strict=True)
    }


def test_the_crop_is_of_the_picture_in_its_file(tmp_path):
    source = files(tmp_path)
    found = PictureAugment(crop_scale=(0.1, 0.5)).fetch(source, torch.tensor([2, 5]), torch.tensor([7, 8]))
    for pixels, i, seed in zip(found, (2, 5), (7, 8), strict=True):
        torch.manual_seed(seed)
        wanted = v2.RandomResizedCrop(8, (0.1, 0.5))(open_rgb(source.file(i)))
        assert torch.equal(pixels, v2.functional.pil_to_tensor(wanted))


@pytest.mark.parametrize("policy", ["randaugment", "trivialaugment", "autoaugment"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_policy_is_torchvisions(policy, channels):
    g = torch.Generator().manual_seed(0)
    images = TensorImages(torch.randint(256, (20, channels, 8, 8), generator=g, dtype=torch.uint8), torch.arange(20))
    found = PictureAugment(policy=policy).fetch(images, torch.arange(20), torch.arange(20))
    theirs = {"randaugment": v2.RandAugment, "trivialaugment": v2.TrivialAugmentWide, "autoaugment": v2.AutoAugment}
    for i, pixels in enumerate(found):
        torch.manual_seed(i)
        wanted = theirs[policy]()(v2.functional.to_pil_image(images.image_NCHW[i]))
        assert torch.equal(pixels, v2.functional.pil_to_tensor(wanted))
    assert (found != images.image_NCHW).any(dim=(1, 2, 3)).sum() > 10


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("pool", [None, 2])
@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_is_shown_alike_in_any_process_batch_and_sitting(tmp_path, workers, pool):
    source = files(tmp_path)
    before = torch.get_rng_state()
    whole = shown(loader(source, WHOLE, pool=pool), 1)
    rest = shown(loader(source, WHOLE, pool=pool, workers=workers), 1, start=1)
    assert torch.equal(before, torch.get_rng_state())
    assert len(rest) == 3
    assert all(torch.equal(image, whole[i]) for i, image in rest.items())
    other = shown(loader(source, WHOLE, pool=pool, batch_size=2), 1)
    assert all(torch.equal(image, other[i]) for i, image in whole.items())


def test_each_image_epoch_and_seed_has_its_own():
    one = torch.randint(256, (1, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = TensorImages(one.expand(20, -1, -1, -1), torch.zeros(20, dtype=torch.long))
    rand = PictureAugment(policy="randaugment")
    looks = [shown(loader(images, rand, augment=None, seed=seed), epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert len(torch.stack(list(looks[0].values())).unique(dim=0)) > 10
    assert not any(all(torch.equal(looks[0][i], other[i]) for i in looks[0] if i in other) for other in looks[1:])


def test_a_policy_changes_neither_order_nor_crops():
    images = TensorImages(torch.full((9, 3, 8, 8), 200, dtype=torch.uint8), torch.arange(9))
    pictures = (None, PictureAugment(policy="trivialaugment"))
    plain, with_policy = (next(loader(images, picture).inputs(0)) for picture in pictures)
    assert torch.equal(plain.index_B, with_policy.index_B)
    assert torch.equal(plain.parameters_BP, with_policy.parameters_BP)


def test_views_of_a_pool_are_named_by_their_policy():
    images = TensorImages(torch.zeros(9, 3, 8, 8, dtype=torch.uint8), torch.arange(9))
    pictures = (None, WHOLE, PictureAugment(crop_scale=(0.1, 1.0), policy="autoaugment"))
    names = {loader(images, picture, pool=2).pool_identity()["augmentation"] for picture in pictures}
    assert len(names) == 3
