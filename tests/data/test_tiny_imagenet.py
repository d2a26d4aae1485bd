"""Tiny ImageNet as published, and sorted into folders."""

import shutil
import zipfile

import pytest
import torch

from crcd.data import FolderImages, encoded, load_dataset, tiny_imagenet
from crcd.errors import CrcdError
from data_formats import WNIDS, make_tiny_imagenet, md5, zip_tree

NAMES = ("goldfish", "crane (n02012849)", "crane (n03126707)")


def sort_val(base):
    """What the field's scripts make of the validation images."""
    for line in (base / "val/val_annotations.txt").read_text().splitlines():
        file, wnid = line.split("\t")[:2]
        (base / "val" / wnid).mkdir(exist_ok=True)
        (base / "val/images" / file).rename(base / "val" / wnid / file)
    (base / "val/images").rmdir()
    (base / "val/val_annotations.txt").unlink()


def reds(images):
    """The first channel of each image, which tells its class."""
    return images.fetch(torch.arange(len(images)))[:, 0, 5, 5].tolist()


@pytest.mark.parametrize("sorted_into_folders", [False, True])
@pytest.mark.parametrize("budget", [2**31, 0])
def test_either_layout(tmp_path, monkeypatch, sorted_into_folders, budget):
    monkeypatch.setattr(encoded, "MEMORY_BUDGET", budget)
    base = make_tiny_imagenet(tmp_path)
    if sorted_into_folders:
        sort_val(base)
    for root in (tmp_path, base):
        data = load_dataset("tiny-imagenet", root)
        assert data.class_names == NAMES
        assert data.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
        assert sorted(data.test.labels.tolist()) == [0, 1, 2]
        assert data.train.shape == (3, 64, 64)
        for images in (data.train, data.test):
            assert isinstance(images, FolderImages) == (budget == 0)
            assert reds(images) == pytest.approx([25 * label + 5 for label in images.labels.tolist()], abs=2)


def test_names_where_there_are_no_words(tmp_path):
    base = make_tiny_imagenet(tmp_path)
    (base / "words.txt").unlink()
    assert load_dataset("tiny-imagenet", tmp_path).class_names == WNIDS


def test_corrupt_image_may_be_skipped(tmp_path):
    base = make_tiny_imagenet(tmp_path)
    broken = base / f"train/{WNIDS[1]}/images/{WNIDS[1]}_0.JPEG"
    broken.write_bytes(broken.read_bytes()[:300])
    with pytest.raises(CrcdError, match=rf"train: 1 of 6 images can't be read .*{broken.name}.*--skip-corrupt"):
        load_dataset("tiny-imagenet", tmp_path)
    assert load_dataset("tiny-imagenet", tmp_path, skip_corrupt=True).train.labels.tolist() == [0, 0, 1, 2, 2]


def test_faulty_copies(tmp_path):
    with pytest.raises(CrcdError, match=r"tiny-imagenet is not in .*crcd data fetch tiny-imagenet"):
        load_dataset("tiny-imagenet", tmp_path)
    base = make_tiny_imagenet(tmp_path)
    annotations = base / "val/val_annotations.txt"
    whole = annotations.read_text()

    annotations.write_text(whole.replace(WNIDS[0], "n00000000"))
    with pytest.raises(CrcdError, match=r"val_annotations\.txt, line 2: 'n00000000' is no class of train"):
        load_dataset("tiny-imagenet", tmp_path)
    annotations.write_text(whole[: whole.index("val_2") + 8])
    with pytest.raises(CrcdError, match=r"line 3: '' is no class of train"):
        load_dataset("tiny-imagenet", tmp_path)
    annotations.write_text(whole[: whole.index("val_2")])
    with pytest.raises(CrcdError, match=r"differ in 1 files \(.*val_2\.JPEG\)"):
        load_dataset("tiny-imagenet", tmp_path)
    annotations.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CrcdError, match=r"val_annotations\.txt cannot be read"):
        load_dataset("tiny-imagenet", tmp_path)
    annotations.unlink()
    with pytest.raises(CrcdError, match=r"val_annotations\.txt cannot be read"):
        load_dataset("tiny-imagenet", tmp_path)
    annotations.write_text(whole)

    (base / "val/images/val_1.JPEG").unlink()
    with pytest.raises(CrcdError, match=r"differ in 1 files \(.*val_1\.JPEG\)"):
        load_dataset("tiny-imagenet", tmp_path)
    shutil.rmtree(base / "train" / WNIDS[2])
    with pytest.raises(CrcdError, match=r"wnids\.txt and train have different classes \(n03126707\)"):
        load_dataset("tiny-imagenet", tmp_path)


def test_archive_is_checked_and_unpacked(tmp_path, monkeypatch):
    archive = tmp_path / "root/tiny-imagenet-200.zip"
    archive.parent.mkdir()
    zip_tree(make_tiny_imagenet(tmp_path / "made"), archive)
    monkeypatch.setattr(tiny_imagenet, "MD5", md5(archive))
    data = load_dataset("tiny-imagenet", archive.parent, download=True)
    assert (len(data.train), len(data.test)) == (6, 3)
    assert sorted(path.name for path in archive.parent.iterdir()) == ["tiny-imagenet-200", "tiny-imagenet-200.zip"]
    archive.unlink()
    assert len(load_dataset("tiny-imagenet", archive.parent, download=True).test) == 3


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/outside.txt", "tiny-imagenet-200/../../outside.txt", "outside.txt"]
)
def test_archive_with_a_file_outside_its_folder(tmp_path, monkeypatch, name):
    root = tmp_path / "root"
    root.mkdir()
    with zipfile.ZipFile(root / "tiny-imagenet-200.zip", "w") as archive:
        archive.writestr(name, "no")
    monkeypatch.setattr(tiny_imagenet, "MD5", md5(root / "tiny-imagenet-200.zip"))
    with pytest.raises(CrcdError, match=r"has a file outside tiny-imagenet-200 \(.*outside\.txt\)"):
        load_dataset("tiny-imagenet", root, download=True)
    assert [path.name for path in root.iterdir()] == ["tiny-imagenet-200.zip"]
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_archive_that_cannot_be_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_imagenet, "URL", (tmp_path / "absent/tiny-imagenet-200.zip").as_uri())
    with pytest.raises(CrcdError, match=r"could not be downloaded .*put tiny-imagenet-200\.zip into"):
        load_dataset("tiny-imagenet", tmp_path / "root", download=True)
