"""Which augmentation is done where, for images in memory and in files."""

import pytest
import torch
from PIL import Image

from crcd.data import CropFlip, Erasing, FolderImages, Mix, PictureAugment, ResizedCropFlip, TensorImages, load_dataset
from crcd.train.material import Material
from crcd.train.options import DataOptions

CPU = torch.device("cpu")
MEMORY = TensorImages(torch.zeros(10, 3, 8, 8, dtype=torch.uint8), torch.arange(10) % 2)


@pytest.fixture
def files(tmp_path):
    Image.new("RGB", (20, 14)).save(tmp_path / "a.png")
    return FolderImages([tmp_path / "a.png"] * 10, torch.arange(10) % 2, 8)


def loader(images, **options):
    settings = DataOptions(batch_size=2, image_size=8, **options)
    data = load_dataset("digits", None, image_size=8)
    return Material(data, data.train, data.test, "test", settings, 0, CPU).train_loader(images)


def test_padded_crops_are_of_batches(files):
    for images in (MEMORY, files):
        made = loader(images, crop_padding=3, flip=False)
        assert made.augment == CropFlip(3, flip=False)
        assert made.picture is None
        assert made.mix is None
        assert not made.balanced


def test_resized_crops_are_of_batches_in_memory_and_of_pictures_in_files(files):
    options = {"crop": "random-resized", "crop_scale": (0.3, 1.0)}
    in_memory, in_files = (loader(images, **options) for images in (MEMORY, files))
    assert in_memory.augment == ResizedCropFlip((0.3, 1.0), flip=True)
    assert in_memory.picture is None
    assert in_files.augment == CropFlip(0, flip=True)
    assert in_files.picture == PictureAugment((0.3, 1.0))
    assert next(in_files.epoch(0)).image.shape == (2, 3, 8, 8)


def test_policies_are_of_pictures(files):
    options = {"policy": "randaugment", "rand_augment": (1, 5)}
    for images in (MEMORY, files):
        assert loader(images, **options).picture == PictureAugment(None, "randaugment", 1, 5)
    both = loader(files, crop="random-resized", **options)
    assert both.picture == PictureAugment((0.08, 1.0), "randaugment", 1, 5)


def test_erasing_is_of_the_side_of_the_images(files):
    for images in (MEMORY, files):
        assert loader(images, erasing=0.25).erasing == Erasing(0.25, 8)
        assert loader(images).erasing is None


def test_mixing_and_balance_are_the_loaders():
    made = loader(MEMORY, cutmix=1.0, mix_prob=0.3, balance="sampler")
    assert made.mix == Mix(0.0, 1.0, 0.3)
    assert made.balanced
