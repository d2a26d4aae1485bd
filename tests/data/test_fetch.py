"""Fetching, from archives that are there already: nothing here needs a network."""

import pytest
from torchvision.datasets import CIFAR100

from crcd.data import tiny_imagenet
from crcd.data.fetch import fetch
from crcd.errors import CrcdError
from data_formats import make_imagenet_archives, make_tiny_imagenet, md5, pack_fashion_mnist, zip_tree


def test_fashion_mnist(tmp_path, monkeypatch):
    pack_fashion_mnist(tmp_path, monkeypatch)
    report = fetch("fashion-mnist", tmp_path)
    assert report.lines[0] == "train: 4 images of 10 classes, 0 (Trouser) to 2 (Coat) each"


def test_tiny_imagenet(tmp_path, monkeypatch):
    zip_tree(make_tiny_imagenet(tmp_path / "made"), tmp_path / "tiny-imagenet-200.zip")
    monkeypatch.setattr(tiny_imagenet, "MD5", md5(tmp_path / "tiny-imagenet-200.zip"))
    report = fetch("tiny-imagenet", tmp_path)
    assert report.lines == [
        "layout: as published",
        "train: 6 images of 3 classes, 2 each",
        "val: 3 images of 3 classes, 1 each",
    ]


def test_imagenet(tmp_path, monkeypatch):
    with pytest.raises(CrcdError, match=r"neither train/WNID/\* nor ILSVRC2012_img_train\.tar .*image-net\.org"):
        fetch("imagenet", tmp_path)
    make_imagenet_archives(tmp_path, monkeypatch)
    assert fetch("imagenet", tmp_path).lines[0] == "train: 6 images of 3 classes, 2 each"
    assert (tmp_path / "train/n01443537/n01443537_0.JPEG").is_file()


def test_digits_need_nothing():
    assert fetch("digits", None).lines[0].startswith("train: 1,437 images of 10 classes")


def test_what_cannot_be_fetched(tmp_path, monkeypatch):
    with pytest.raises(CrcdError, match="images of your own"):
        fetch("folder", tmp_path)
    with pytest.raises(CrcdError, match="needs --data-dir"):
        fetch("cifar10", None)
    monkeypatch.setattr(CIFAR100, "url", (tmp_path / "absent.tar.gz").as_uri())
    with pytest.raises(CrcdError, match=r"cifar100 could not be downloaded into .*absent\.tar\.gz"):
        fetch("cifar100", tmp_path)
