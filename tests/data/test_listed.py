"""Lists of images: what they name, and what is said of lists that are wrong."""

import sys
from pathlib import Path

import pytest

from crcd.data import load_dataset
from crcd.data.check import check
from crcd.data.listed import ordered_labels
from crcd.data.recognise import recognise
from crcd.errors import CrcdError
from data_formats import jpeg, write

TRAIN = "path,label\nimages/a.jpg,10\nimages/b.jpg,9\nimages/c.jpg,10\n"
VAL = "path,label\nimages/d.jpg,9\nimages/e.jpg,10\n"


def make_list(root: Path, train: str = TRAIN, val: str = VAL) -> Path:
    for i, file in enumerate("abcde"):
        write(root / f"images/{file}.jpg", jpeg(i, i, (20, 14)))
    write(root / "train.csv", train.encode())
    write(root / "val.csv", val.encode())
    return root


def reds(images) -> list[int]:
    return [round(float(images.fetch(images.labels.new_tensor([i])).float()[:, 0].mean())) for i in range(len(images))]


def test_paths_are_of_the_list_and_whole_numbers_in_their_order(tmp_path):
    data = load_dataset("list", make_list(tmp_path), image_size=8)
    assert data.class_names == ("9", "10")
    assert data.train.labels.tolist() == [1, 0, 1]
    assert data.test.labels.tolist() == [0, 1]
    assert reds(data.train) == pytest.approx([5, 30, 55], abs=2)
    assert reds(data.test) == pytest.approx([80, 105], abs=2)
    assert recognise(tmp_path) == ("list", tmp_path)


def test_texts_are_classes_and_a_column_may_name_them(tmp_path):
    make_list(tmp_path, TRAIN.replace("10", "dog").replace("9", "cat"), VAL.replace("10", "dog").replace("9", "cat"))
    assert load_dataset("list", tmp_path).class_names == ("cat", "dog")
    rows = '"cat, tame",,images/a.jpg,1\ndog,,images/b.jpg,2\n"cat, tame",,images/c.jpg,1\n'
    train = f"\ufeffclass_name,more,path,label\n{rows}"
    make_list(tmp_path, train, "label,path\n1,images/d.jpg\n2,images/e.jpg\n")
    assert load_dataset("list", tmp_path).class_names == ("cat, tame", "dog")


def test_the_order_of_labels_is_that_of_no_set():
    twins = {f"{zeros}{number}" for number in (2, 10, -3) for zeros in ("", "0", "00") if number > 0 or not zeros}
    assert ordered_labels(twins) == ["-3", "002", "02", "2", "0010", "010", "10"]
    assert ordered_labels({"2", "10", "--1"}) == ["--1", "10", "2"]


def test_parquet(tmp_path, monkeypatch):
    import pyarrow
    from pyarrow import parquet

    wanted = load_dataset("list", make_list(tmp_path), image_size=8)
    (tmp_path / "train.csv").unlink()
    columns = {"path": ["images/a.jpg", "images/b.jpg", "images/c.jpg"], "label": [10, 9, 10]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "train.parquet")
    data = load_dataset("list", tmp_path, image_size=8)
    assert data.train.labels.equal(wanted.train.labels)
    assert data.train.digest() == wanted.train.digest()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CrcdError, match=r'train\.parquet needs the package pyarrow: pip install "crcd\[parquet\]"'):
        load_dataset("list", tmp_path)
    monkeypatch.undo()
    (tmp_path / "train.parquet").write_bytes(b"no table")
    with pytest.raises(CrcdError, match=r"train\.parquet can't be read"):
        load_dataset("list", tmp_path)


@pytest.mark.parametrize(
    ("train", "val", "named"),
    [
        (TRAIN.replace("label", "class"), VAL, r"train\.csv has no column label \(it has path, class\)"),
        ("path,label\n", VAL, r"train\.csv names no image"),
        (TRAIN, VAL.replace("10", "11"), r"val\.csv, row 2: '11' is the label of no training image"),
        (TRAIN, VAL.replace(",10", ","), r"val\.csv, row 2: it has no label"),
        (TRAIN, VAL.replace("images/e.jpg", ""), r"val\.csv, row 2: it has no path"),
        (TRAIN, VAL + "images/f.jpg,9\n", r"val\.csv: 1 of 3 images are missing \(.*/images/f\.jpg\): paths are"),
        (TRAIN, VAL + "images/../images/a.jpg,9\n", r"val\.csv and .*train\.csv both name .*a\.jpg: an image to"),
        (TRAIN, VAL.replace("10", "9"), r"val\.csv: no image of 10: each class needs images"),
        (TRAIN.replace("10", "9"), VAL.replace("10", "9"), r"there is one class only \(9\)"),
        (
            "path,label,class_name\nimages/a.jpg,1,cat\nimages/b.jpg,2,dog\nimages/c.jpg,1,dog\n", VAL,
            r"train\.csv, row 3: label 1 is called dog, but cat above it",
        ),
        (
            "path,label,class_name\nimages/a.jpg,10,cat\nimages/b.jpg,9,cat\n", VAL,
            r"train\.csv: several classes are called cat: give each a name of its own",
        ),
    ],
)  # fmt: skip
def test_lists_that_are_wrong(tmp_path, train, val, named):
    make_list(tmp_path, train, val)
    with pytest.raises(CrcdError, match=named):
        load_dataset("list", tmp_path)
    assert len(check("list", tmp_path).faults) == 1


def test_lists_that_are_not_there(tmp_path):
    with pytest.raises(
        CrcdError, match=r"has neither train\.csv nor train\.parquet: write one with columns path and label"
    ):
        load_dataset("list", tmp_path)
    make_list(tmp_path)
    (tmp_path / "train.csv").write_bytes(b"path,label\n\xff\xfe,1\n")
    with pytest.raises(CrcdError, match=r"train\.csv can't be read"):
        load_dataset("list", tmp_path)
    (tmp_path / "train.parquet").write_bytes(b"")
    with pytest.raises(CrcdError, match=r"has both train\.csv and train\.parquet: remove one"):
        load_dataset("list", tmp_path)


def test_training_images_without_a_label(tmp_path):
    make_list(
        tmp_path,
        "path,label\nimages/a.jpg,x\nimages/b.jpg,\nimages/c.jpg,y\n",
        "path,label\nimages/d.jpg,y\nimages/e.jpg,x\n",
    )
    data = load_dataset("list", tmp_path)
    assert data.class_names == ("x", "y")
    assert data.train.labels.tolist() == [0, -1, 1]
    report = check("list", tmp_path)
    assert not report.faults
    assert report.lines[0] == "train.csv: 2 images of 2 classes, 1 each, and 1 unlabelled"


def test_what_check_tells(tmp_path):
    report = check("list", make_list(tmp_path))
    assert not report.faults
    assert report.lines[0] == "train.csv: 3 images of 2 classes, 1 (9) to 2 (10) each"
