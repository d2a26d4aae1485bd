"""Data sets by name, and how images of one are chosen and divided."""

from pathlib import Path

import pytest
import torch

from crcd.data import (
    TensorImages,
    check_labels,
    dataset_names,
    default_recipe,
    known_labels,
    labelled,
    load_dataset,
    split,
    subset,
)
from crcd.errors import CrcdError

ROOT = Path(__file__).parents[2] / ".data"


def test_digits():
    data = load_dataset("digits", None)
    assert (len(data.train), len(data.test), data.num_classes) == (1437, 360, 10)
    assert data.train.shape == (1, 16, 16)
    assert data.train.fetch(torch.arange(5)).dtype == torch.uint8
    pixels = data.train.fetch(torch.arange(1437)).float() / 255
    assert data.mean == (pytest.approx(pixels.mean().item()),)
    again = load_dataset("digits", None)
    assert torch.equal(data.test.labels, again.test.labels)
    assert load_dataset("digits", None, image_size=8).train.shape == (1, 8, 8)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_absent(tmp_path, name):
    with pytest.raises(CrcdError, match=f"{name} is not in .*--download"):
        load_dataset(name, tmp_path)
    with pytest.raises(CrcdError, match="needs --data-dir"):
        load_dataset(name, None)


def test_cifar_damaged(tmp_path):
    (tmp_path / "cifar-100-python").mkdir()
    for file in ("train", "test", "meta"):
        (tmp_path / "cifar-100-python" / file).write_bytes(b"no pickle")
    with pytest.raises(CrcdError, match="its files are damaged"):
        load_dataset("cifar100", tmp_path)


def test_cifar_cannot_be_downloaded(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CrcdError, match="cifar100 could not be downloaded into") as caught:
        load_dataset("cifar100", tmp_path / "file", download=True)
    assert "\n" not in str(caught.value)


def test_unknown_data_set():
    with pytest.raises(CrcdError, match="did you mean cifar10"):
        load_dataset("cifar-10", None)
    assert all(default_recipe(name) for name in dataset_names())


def test_labels_out_of_range():
    with pytest.raises(CrcdError, match=r"label 5 of image 1 is out of range \(1 such\)"):
        check_labels(torch.tensor([0, 5, 1]), 5, "here")


def test_subset_and_split_keep_the_classes_in_proportion():
    train = load_dataset("digits", None).train
    few = subset(train, 250, 0)
    assert len(few) == 250
    assert torch.bincount(few.labels).min() >= 24
    assert not torch.equal(few.fetch(torch.arange(250)), subset(train, 250, 1).fetch(torch.arange(250)))
    keep, out = split(train, 0.2, 0)
    assert len(out) == round(0.2 * 1437)
    assert len(keep) + len(out) == 1437
    both = torch.cat([keep.fetch(torch.arange(len(keep))), out.fetch(torch.arange(len(out)))])
    whole = train.fetch(torch.arange(1437))
    assert sorted(both.flatten(1).sum(1).tolist()) == sorted(whole.flatten(1).sum(1).tolist())
    assert len(subset(train, 1427, 0)) == 1427
    assert subset(train, 1437, 0) is train
    for count in (9, 1428, 1436, 1438):
        with pytest.raises(CrcdError, match=r"give 10 \(one a class\) to 1427, or all 1437"):
            subset(train, count, 0)
    for fraction in (0.001, 0.999):
        with pytest.raises(CrcdError, match="leaves a class empty"):
            split(train, fraction, 0)


def test_choices_leave_unlabelled_images_where_they_are():
    labels = torch.tensor([0, -1, 1, 0, 1, -1, 0, 1, 0, 1, -1])
    images = TensorImages(torch.arange(11, dtype=torch.uint8)[:, None, None, None], labels)
    few = subset(images, 4, 0)
    assert torch.bincount(few.labels + 1).tolist() == [3, 2, 2]
    numbers = few.image_NCHW.flatten()
    assert numbers.tolist() == sorted(numbers.tolist())
    assert torch.equal(labels[numbers.long()], few.labels)
    assert subset(images, 8, 0) is images
    keep, out = split(images, 0.25, 0)
    assert (len(keep), len(out)) == (9, 2)
    assert sorted(out.labels.tolist()) == [0, 1]
    assert torch.equal(labels[out.image_NCHW.flatten().long()], out.labels)
    assert labelled(images).labels.tolist() == known_labels(images).tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert labelled(out) is out


def test_class_of_one_image_cannot_be_divided():
    images = TensorImages(torch.zeros(7, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 0, 0, 2, 1, 1, 1]))
    for divide in (lambda: subset(images, 4, 0), lambda: split(images, 0.5, 0)):
        with pytest.raises(CrcdError, match="class 2 has one training image only"):
            divide()


@pytest.mark.real_data
def test_official_cifar100():
    if not (ROOT / "cifar-100-python").is_dir():
        pytest.skip("the official CIFAR-100 is not under .data/")
    data = load_dataset("cifar100", ROOT)
    assert (len(data.train), len(data.test), data.num_classes) == (50_000, 10_000, 100)
    assert torch.bincount(data.train.labels).tolist() == [500] * 100
    assert data.class_names[int(data.train.labels[0])] == "cattle"
    pixels = data.train.fetch(torch.arange(50_000)).mean(dim=(0, 2, 3), dtype=torch.float64) / 255
    assert pixels.tolist() == pytest.approx(data.mean, abs=1e-3)


@pytest.mark.slow
@pytest.mark.real_data
def test_tiny_imagenet_subset():
    if not (ROOT / "tiny-imagenet").is_dir():
        pytest.skip("the Tiny ImageNet subset is not under .data/")
    root = next(path.parent for path in (ROOT / "tiny-imagenet").rglob("train"))
    data = load_dataset("tiny-imagenet", root)
    assert (len(data.train), len(data.test), data.num_classes) == (20_000, 5_000, 200)
    assert torch.bincount(data.train.labels).tolist() == [100] * 200
    pixels = data.train.fetch(torch.arange(0, 20_000, 10)).double() / 255
    assert pixels.mean((0, 2, 3)).tolist() == pytest.approx(data.mean, abs=0.01)
    assert pixels.std((0, 2, 3)).tolist() == pytest.approx(data.std, abs=0.01)
    assert load_dataset("folder", root, image_size=32).train.labels.equal(data.train.labels)
