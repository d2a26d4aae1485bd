"""What is said of data sets that are sound, and of those that are not."""

import shutil

import pytest

from crcd.data.check import check
from crcd.data.recognise import recognise
from crcd.errors import CrcdError
from data_formats import (
    WNIDS,
    jpeg,
    make_cifar,
    make_fashion_mnist,
    make_imagenet_archives,
    make_imagenet_folders,
    make_stl10,
    make_tiny_imagenet,
    write,
)


@pytest.fixture
def photographs(tmp_path):
    """Two classes, three training images and one to score on each, all different."""
    for label, name in enumerate(("cat", "dog")):
        for i in range(3):
            write(tmp_path / f"train/{name}/{i}.jpg", jpeg(label, i, (20 + 10 * i, 16)))
        write(tmp_path / f"val/{name}/0.jpg", jpeg(label, 100, (20, 16)))
    return tmp_path


def test_sound_folder(photographs):
    report = check("folder", photographs)
    assert report.lines == [
        "train: 6 images of 2 classes, 3 each",
        "  width: 20 / 30 / 40 pixels (min / median / max)",
        "  height: 16 / 16 / 16 pixels (min / median / max)",
        "val: 2 images of 2 classes, 1 each",
        "  20x16 pixels",
    ]
    assert report.remarks == report.faults == []
    quick = check("folder", photographs, read=False)
    assert quick.lines == [report.lines[0], report.lines[3]]


def test_copies(photographs):
    shutil.copy(photographs / "train/cat/0.jpg", photographs / "train/cat/copy.jpg")
    shutil.copy(photographs / "train/cat/0.jpg", photographs / "val/dog/copy.jpg")
    shutil.copy(photographs / "val/cat/0.jpg", photographs / "val/cat/copy.jpg")
    report = check("folder", photographs)
    train, val = photographs / "train", photographs / "val"
    assert report.remarks == [
        f"train has copies of files of train: 1 ({train}/cat/copy.jpg = {train}/cat/0.jpg)",
        f"val has copies of files of val: 1 ({val}/cat/copy.jpg = {val}/cat/0.jpg)",
        f"val has copies of files of train: 1 ({val}/dog/copy.jpg = {train}/cat/0.jpg, of another class)",
    ]
    assert report.faults == []
    assert report.lines[0] == "train: 7 images of 2 classes, 3 (dog) to 4 (cat) each"


def test_many_copies_are_counted_and_the_first_named(photographs):
    for i in range(5):
        shutil.copy(photographs / "train/cat/0.jpg", photographs / f"val/cat/copy{i}.jpg")
    (remark,) = check("folder", photographs).remarks
    assert "train: 5 (" in remark
    assert remark.count(" = ") == 3
    assert remark.endswith("; ...)")


def test_every_unreadable_file_is_listed(photographs):
    broken = [photographs / "train/cat/1.jpg", photographs / "train/dog/0.jpg", photographs / "val/cat/0.jpg"]
    for path in broken:
        path.write_bytes(path.read_bytes()[:200])
    broken[1].unlink()
    broken[1].symlink_to("nowhere.jpg")
    assert check("folder", photographs).faults == [f"{path} is not a readable image" for path in broken]


def test_classes_that_differ(photographs):
    (photographs / "val/dog").rename(photographs / "val/hound")
    (photographs / "train/empty").mkdir()
    report = check("folder", photographs)
    assert report.lines[0] == "train: 6 images of 3 classes, 0 (empty) to 3 (cat) each"
    assert report.faults == [
        f"{photographs}/train: no image of empty: each class needs images",
        f"{photographs}/train and {photographs}/val have different classes (dog, empty, hound): "
        "give both the same class folders",
    ]
    shutil.rmtree(photographs / "train")
    (fault,) = check("folder", photographs).faults
    assert f"{photographs}/train is missing" in fault


def test_official_files(tmp_path, monkeypatch):
    make_cifar(tmp_path, "cifar10", monkeypatch)
    make_stl10(tmp_path, monkeypatch)
    make_fashion_mnist(tmp_path)
    report = check("cifar10", tmp_path)
    assert report.lines[2:] == ["test: 3 images of 2 classes, 1 (apple) to 2 (bear) each", "  32x32 pixels"]
    assert report.faults == report.remarks == []
    assert check("stl10", tmp_path).lines[1] == "  96x96 pixels"
    assert check("fashion-mnist", tmp_path).remarks == [
        "train has 4 images, 60,000 are published",
        "test has 2 images, 10,000 are published",
    ]
    (tmp_path / "stl10_binary/test_y.bin").write_bytes(b"")
    assert "test_y.bin has another hash" in check("stl10", tmp_path).faults[0]


def test_tiny_imagenet(tmp_path):
    base = make_tiny_imagenet(tmp_path)
    report = check("tiny-imagenet", tmp_path)
    assert report.lines[:2] == ["layout: as published", "train: 6 images of 3 classes, 2 each"]
    assert report.faults == []
    (base / "val/images/val_0.JPEG").unlink()
    assert "differ in 1 files" in check("tiny-imagenet", tmp_path).faults[0]


def test_imagenet(tmp_path, monkeypatch):
    make_imagenet_archives(tmp_path, monkeypatch)
    before = sorted(tmp_path.iterdir())
    report = check("imagenet", tmp_path)
    assert report.lines[1] == "val: its archive is as published; crcd data fetch imagenet unpacks it"
    assert report.faults == []
    (tmp_path / "ILSVRC2012_img_val.tar").write_bytes(b"")
    assert "ILSVRC2012_img_val.tar has another hash" in check("imagenet", tmp_path).faults[0]
    assert sorted(tmp_path.iterdir()) == before
    make_imagenet_folders(tmp_path)
    report = check("imagenet", tmp_path)
    assert report.lines[:2] == ["train: 6 images of 3 classes, 2 each", "  80x72 pixels"]
    assert report.remarks[0] == "train has 6 images, 1,281,167 are published"
    (tmp_path / f"train/{WNIDS[0]}.tar").write_bytes(b"")
    assert "train was not unpacked to the end" in check("imagenet", tmp_path).faults[0]


def test_hub(tmp_path, photographs):
    pytest.importorskip("datasets", reason="the package datasets is not installed").disable_progress_bars()
    (photographs / "val/dog/0.jpg").write_bytes(b"no image")
    report = check(f"hf/{photographs}", tmp_path / "cache")
    assert report.lines[0] == "train: 6 images of 2 classes, 3 each"
    assert report.faults == ["row 1 of validation is not a readable image"]


def test_mistakes(tmp_path):
    with pytest.raises(CrcdError, match="did you mean stl10"):
        check("stl-10", tmp_path)
    with pytest.raises(CrcdError, match="stl10 needs --data-dir"):
        check("stl10", None)
    with pytest.raises(CrcdError, match="nowhere is no folder"):
        check("stl10", tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "stl10", "fashion-mnist", "tiny-imagenet"])
def test_data_sets_are_recognised_from_without_and_within(tmp_path, monkeypatch, name):
    if name.startswith("cifar"):
        make_cifar(tmp_path, name, monkeypatch)
    elif name == "stl10":
        make_stl10(tmp_path, monkeypatch)
    elif name == "fashion-mnist":
        make_fashion_mnist(tmp_path)
    else:
        make_tiny_imagenet(tmp_path)
    assert recognise(tmp_path) == (name, tmp_path)
    (own,) = tmp_path.iterdir()
    assert recognise(own) == (name, tmp_path)


def test_image_folders_are_told_apart(tmp_path, photographs, monkeypatch):
    assert recognise(photographs)[0] == "folder"
    make_tiny_imagenet(tmp_path / "tiny")
    (tmp_path / "tiny/tiny-imagenet-200").rename(tmp_path / "tiny/mine")
    assert recognise(tmp_path / "tiny/mine")[0] == "tiny-imagenet"
    make_imagenet_folders(tmp_path / "few")
    assert recognise(tmp_path / "few")[0] == "folder"
    for name, count, size in (("sorted", 200, (64, 64)), ("other", 200, (80, 64)), ("big", 1000, (64, 64))):
        content = jpeg(0, 0, size)
        for number in range(count):
            write(tmp_path / f"{name}/train/n{number:08}/0.JPEG", content)
    assert recognise(tmp_path / "sorted")[0] == "tiny-imagenet"
    assert recognise(tmp_path / "other")[0] == "folder"
    assert recognise(tmp_path / "big")[0] == "imagenet"
    (tmp_path / "archives").mkdir()
    make_imagenet_archives(tmp_path / "archives", monkeypatch)
    assert recognise(tmp_path / "archives")[0] == "imagenet"


def test_folders_that_hold_none_or_several(tmp_path, monkeypatch):
    with pytest.raises(CrcdError, match="holds no data set: neither train/CLASS"):
        recognise(tmp_path)
    with pytest.raises(CrcdError, match="nowhere is no folder"):
        recognise(tmp_path / "nowhere")
    make_cifar(tmp_path, "cifar100", monkeypatch)
    make_fashion_mnist(tmp_path)
    with pytest.raises(CrcdError, match="holds cifar100, fashion-mnist: choose one, as in crcd data check cifar100"):
        recognise(tmp_path)
