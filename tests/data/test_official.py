"""CIFAR, STL-10 and Fashion-MNIST, from small files in their official formats."""

import tarfile
from pathlib import Path

import pytest
import torch
from torchvision.datasets import STL10

from crcd.data import load_dataset
from crcd.errors import CrcdError
from data_formats import colour, make_cifar, make_fashion_mnist, make_stl10, md5, pack_fashion_mnist


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar(tmp_path, monkeypatch, name):
    make_cifar(tmp_path, name, monkeypatch)
    data = load_dataset(name, tmp_path)
    files = 5 if name == "cifar10" else 1
    assert data.train.labels.tolist() == [0, 1] * files
    assert data.test.labels.tolist() == [1, 1, 0]
    assert data.class_names == ("apple", "bear")
    assert data.train.shape == (3, 32, 32)
    test = data.test.fetch(torch.tensor([1, 2]))
    assert test[:, :, 1, 0].tolist() == [list(colour(1, 1)), list(colour(0, 2))]
    assert (test[:, :, 0] == 255).all()
    assert load_dataset(name, tmp_path, image_size=16).test.shape == (3, 16, 16)


def test_stl10(tmp_path, monkeypatch):
    make_stl10(tmp_path, monkeypatch)
    data = load_dataset("stl10", tmp_path)
    assert data.train.labels.tolist() == [0, 9, 1]
    assert data.test.labels.tolist() == [2, 0]
    assert (data.class_names[0], data.class_names[9], data.num_classes) == ("airplane", "truck", 10)
    assert data.train.shape == (3, 96, 96)
    train = data.train.fetch(torch.tensor([1]))
    assert train[0, :, 1, 0].tolist() == list(colour(9, 1))
    assert (train[:, :, 0] == 255).all()
    assert load_dataset("stl10", tmp_path, image_size=32).train.shape == (3, 32, 32)


def test_fashion_mnist(tmp_path):
    make_fashion_mnist(tmp_path)
    data = load_dataset("fashion-mnist", tmp_path)
    assert data.train.labels.tolist() == [9, 0, 4, 4]
    assert data.test.labels.tolist() == [1, 9]
    assert (data.class_names[0], data.class_names[9]) == ("T-shirt/top", "Ankle boot")
    assert data.train.shape == (1, 28, 28)
    assert data.train.fetch(torch.arange(4))[:, 0, 1, 0].tolist() == [0, 1, 2, 3]
    assert (data.train.fetch(torch.arange(4))[:, 0, 0] == 255).all()
    assert load_dataset("fashion-mnist", tmp_path, image_size=32).train.shape == (1, 32, 32)


def test_packed_fashion_mnist_is_unpacked(tmp_path, monkeypatch):
    pack_fashion_mnist(tmp_path, monkeypatch)
    with pytest.raises(CrcdError, match="train-images-idx3-ubyte is missing"):
        load_dataset("fashion-mnist", tmp_path)
    assert len(load_dataset("fashion-mnist", tmp_path, download=True).train) == 4
    assert len(load_dataset("fashion-mnist", tmp_path).test) == 2


def test_packed_stl10_is_unpacked(tmp_path, monkeypatch):
    make_stl10(tmp_path / "made", monkeypatch)
    packed = tmp_path / STL10.filename
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(tmp_path / "made" / STL10.base_folder, STL10.base_folder)
    monkeypatch.setattr(STL10, "tgz_md5", md5(packed))
    assert len(load_dataset("stl10", tmp_path, download=True).train) == 3


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar-10-batches-py/data_batch_3"),
        ("cifar100", "cifar-100-python/meta"),
        ("stl10", "stl10_binary/test_X.bin"),
    ],
)
def test_file_with_another_hash_is_named(tmp_path, monkeypatch, name, file):
    if name == "stl10":
        make_stl10(tmp_path, monkeypatch)
    else:
        make_cifar(tmp_path, name, monkeypatch)
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(content[:-1])
    with pytest.raises(
        CrcdError, match=f"{name} is not in .*{Path(file).name} has another hash than the published one"
    ):
        load_dataset(name, tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(CrcdError, match=f"{Path(file).name} is missing.*crcd data fetch"):
        load_dataset(name, tmp_path)


@pytest.mark.parametrize("keep", [0, 3, 10, 16, 2000])
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_fashion_mnist_cut_off(tmp_path, file, keep):
    make_fashion_mnist(tmp_path)
    path = tmp_path / "FashionMNIST/raw" / file
    whole = path.read_bytes()
    path.write_bytes(whole[: min(keep, len(whole) - 1)])
    with pytest.raises(CrcdError, match=r"its files are damaged \(they can't be read\)"):
        load_dataset("fashion-mnist", tmp_path)


def test_labels_of_another_number_of_images(tmp_path):
    make_fashion_mnist(tmp_path)
    raw = tmp_path / "FashionMNIST/raw"
    (raw / "t10k-labels-idx1-ubyte").write_bytes((raw / "train-labels-idx1-ubyte").read_bytes())
    with pytest.raises(CrcdError, match="fashion-mnist: 2 images but 4 labels"):
        load_dataset("fashion-mnist", tmp_path)


def test_stl10_without_names(tmp_path, monkeypatch):
    make_stl10(tmp_path, monkeypatch)
    (tmp_path / "stl10_binary/class_names.txt").unlink()
    with pytest.raises(CrcdError, match=r"class_names\.txt is missing"):
        load_dataset("stl10", tmp_path)
