"""crcd data: as a process, and its mistakes."""

import shutil

import pytest

from data_formats import make_fashion_mnist, make_tiny_imagenet


@pytest.fixture
def distinct(photographs):
    """The photographs without those of ``val`` that are in ``train`` too."""
    for path in photographs.glob("val/*/*.png"):
        path.write_bytes(path.read_bytes() + b"another")
    return photographs


def test_check_of_a_folder(start, finish, distinct):
    answer = finish(start("data", "check", distinct))
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        f"folder in {distinct}",
        "  train: 8 images of 2 classes, 4 each",
        "    20x18 pixels",
        "  val: 4 images of 2 classes, 2 each",
        "    20x18 pixels",
        "sound",
    ]


def test_check_of_a_broken_folder(start, finish, distinct):
    (distinct / "train/cat/9.png").write_bytes(b"no image")
    shutil.copy(distinct / "train/cat/0.png", distinct / "val/cat/copy.png")
    answer = finish(start("data", "check", "folder", "--data-dir", distinct))
    assert (answer.status, answer.err) == (1, "")
    assert answer.out.splitlines()[-3:] == [
        f"  note: val has copies of files of train: 1 ({distinct}/val/cat/copy.png = {distinct}/train/cat/0.png)",
        f"  fault: {distinct}/train/cat/9.png is not a readable image",
        "not sound",
    ]


def test_fetch_and_check_of_named_data_sets(crcd, start, finish, tmp_path):
    make_tiny_imagenet(tmp_path)
    answer = finish(start("data", "fetch", "tiny-imagenet", "--data-dir", tmp_path))
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines()[:2] == [f"tiny-imagenet in {tmp_path}", "  layout: as published"]
    make_fashion_mnist(tmp_path)
    assert crcd("data", "check", "fashion-mnist", "--data-dir", tmp_path).status == 0
    assert crcd("data", "check", "cifar100", "--data-dir", tmp_path).status == 1
    assert crcd("data", "fetch", "digits").out.endswith("sound\n")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["chek"], "unknown crcd data command 'chek': did you mean check"),
        (["check", "cifar"], "unknown data set 'cifar': did you mean cifar10"),
        (["check", "photos"], "unknown data set 'photos'"),
        (["check", "."], "holds no data set"),
        (["check", "stl10"], "data set stl10 needs --data-dir"),
        (["check", "stl10", "--data-dir", "absent"], "absent is no folder"),
        (["fetch", "folder", "--data-dir", "."], "images of your own"),
        (["fetch", "shards", "--data-dir", "."], "images of your own"),
        (["fetch", "imagenet", "--data-dir", "."], "image-net.org"),
    ],
)
def test_mistakes(crcd, tmp_path, monkeypatch, words, named):
    monkeypatch.chdir(tmp_path)
    answer = crcd("data", *words)
    assert answer.status == 2
    assert answer.err.startswith("crcd: error: ")
    assert answer.err.count("\n") == 1
    assert named in answer.err
    assert list(tmp_path.iterdir()) == []


def test_help(crcd):
    asked, bare = crcd("data", "--help"), crcd("data")
    assert (asked.status, bare.status) == (0, 2)
    assert "crcd data check DIR" in asked.out == bare.out
    assert "--data-dir" in crcd("data", "check", "--help").out
