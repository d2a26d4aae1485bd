"""ImageNet unpacked, and from archives in the official format."""

import pytest
import torch

from crcd.data import load_dataset
from crcd.data.wordnet import class_names
from crcd.errors import CrcdError
from data_formats import WNIDS, make_imagenet_archives, make_imagenet_folders

NAMES = ("goldfish", "crane (n02012849)", "crane (n03126707)")


def check_content(data):
    assert data.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.test.labels.tolist() == [0, 1, 2]
    for images in (data.train, data.test):
        red = images.fetch(torch.arange(len(images)))[:, 0, 5, 5].tolist()
        assert red == pytest.approx([25 * label + 5 for label in images.labels.tolist()], abs=2)


def test_unpacked(tmp_path):
    make_imagenet_folders(tmp_path)
    data = load_dataset("imagenet", tmp_path, image_size=16)
    check_content(data)
    assert data.class_names == WNIDS
    assert load_dataset("imagenet", tmp_path).train.shape == (3, 224, 224)


def test_archives(tmp_path, monkeypatch, caplog):
    make_imagenet_archives(tmp_path, monkeypatch)
    data = load_dataset("imagenet", tmp_path, image_size=16)
    check_content(data)
    assert data.class_names == NAMES
    assert "unpacking ILSVRC2012_img_train.tar" in caplog.text
    for archive in tmp_path.glob("ILSVRC*"):
        archive.unlink()
    caplog.clear()
    again = load_dataset("imagenet", tmp_path, image_size=16)
    check_content(again)
    assert again.class_names == NAMES
    assert caplog.text == ""


def test_folders_beside_the_devkit_have_names(tmp_path, monkeypatch):
    make_imagenet_archives(tmp_path, monkeypatch)
    make_imagenet_folders(tmp_path)
    assert load_dataset("imagenet", tmp_path, image_size=16).class_names == NAMES


@pytest.mark.parametrize("file", ["ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"])
def test_archive_absent_or_damaged(tmp_path, monkeypatch, file):
    make_imagenet_archives(tmp_path, monkeypatch)
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(content[:-1])
    with pytest.raises(CrcdError, match=rf"could not be unpacked .*{file} is not present in the root directory or is"):
        load_dataset("imagenet", tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(CrcdError, match=rf"nor {file}: get .*image-net\.org"):
        load_dataset("imagenet", tmp_path)


def test_half_unpacked(tmp_path, monkeypatch):
    make_imagenet_archives(tmp_path, monkeypatch)
    make_imagenet_folders(tmp_path)
    loose = tmp_path / "val/ILSVRC2012_val_00000003.JPEG"
    loose.write_bytes(b"")
    with pytest.raises(CrcdError, match=rf"val was not unpacked to the end \(there is {loose.name}.*remove .*val"):
        load_dataset("imagenet", tmp_path)
    loose.unlink()
    (tmp_path / "train/n02012849.tar").write_bytes(b"")
    with pytest.raises(CrcdError, match=r"train was not unpacked to the end \(there is n02012849\.tar"):
        load_dataset("imagenet", tmp_path)


def test_damaged_names(tmp_path):
    make_imagenet_folders(tmp_path)
    (tmp_path / "meta.bin").write_bytes(b"no names")
    with pytest.raises(CrcdError, match=r"meta\.bin is damaged"):
        load_dataset("imagenet", tmp_path)


def test_names_are_unique():
    assert class_names(WNIDS, {WNIDS[0]: "crane, bird", WNIDS[1]: "crane"}) == (
        "crane (n01443537)",
        "crane (n02012849)",
        "n03126707",
    )
