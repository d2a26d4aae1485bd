"""Shards of WebDataset: they are read as the folder that they were made of, and mistakes in them are named."""

import gzip
import io
import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crcd.data import EncodedImages, Loader, PictureAugment, TensorImages, encoded, load_dataset, split, subset
from crcd.data.check import check
from crcd.data.recognise import recognise
from crcd.errors import CrcdError
from data_formats import jpeg, tar, write

CLASSES = ("cat", "dog", "eel")
LABELS = (2, 0, 1, 1, 0, 2, 2, 1, 0)


def picture(number: int, kind: str) -> bytes:
    """An image of noise, of its own size."""
    pixels = np.random.default_rng(number).integers(256, size=(12 + number, 18, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def samples(part: str) -> list[tuple[str, str, bytes, int]]:
    """Key, kind, image and class of each."""
    first, kinds = (0 if part == "train" else 50), ("jpg", "png", "webp")
    return [
        (f"{part}{i:03}", kinds[i % 3], picture(first + i, kinds[i % 3].replace("jpg", "jpeg")), label)
        for i, label in enumerate(LABELS)
    ]


@pytest.fixture
def photographs(tmp_path) -> Path:
    """Class folders, the files in the order of the shards' members."""
    for part in ("train", "val"):
        for key, kind, image, label in samples(part):
            write(tmp_path / f"photographs/{part}/{CLASSES[label]}/{key}.{kind}", image)
    return tmp_path / "photographs"


def make_shards(root: Path, member=lambda key, label: {f"{key}.cls": str(label).encode()}, each: int = 4) -> Path:
    """Shards written by tarfile, so many samples in each."""
    for part in ("train", "val"):
        for first in range(0, len(LABELS), each):
            members = {}
            for key, kind, image, label in samples(part)[first : first + each]:
                members |= {f"{key}.{kind}": image, **member(key, label)}
            tar(root / f"{part}-{first // each:06}.tar", members)
    return root


def by_webdataset(root: Path) -> Path:
    """The same written by the package webdataset itself."""
    webdataset = pytest.importorskip("webdataset", reason="the package webdataset is not installed")
    root.mkdir()
    for part in ("train", "val"):
        with webdataset.ShardWriter(f"{root}/{part}-%06d.tar", maxcount=4, verbose=0) as writer:
            for key, kind, image, label in samples(part):
                writer.write({"__key__": key, kind: image, "cls": label, "seg.png": b"ignored", "npy": b"ignored"})
    return root


@pytest.mark.parametrize("writer", [make_shards, by_webdataset])
@pytest.mark.parametrize("budget", [2**31, 0])
def test_pixels_and_labels_are_those_of_the_folder(tmp_path, photographs, monkeypatch, writer, budget):
    monkeypatch.setattr(encoded, "MEMORY_BUDGET", budget)
    write(writer(tmp_path / "shards") / "classes.txt", "\n".join(CLASSES).encode())
    shards = load_dataset("shards", tmp_path / "shards", image_size=10)
    folder = load_dataset("folder", photographs, image_size=10)
    assert shards.class_names == folder.class_names == CLASSES
    assert isinstance(shards.train, TensorImages if budget else EncodedImages)
    for part, images, wanted in (("train", shards.train, folder.train), ("val", shards.test, folder.test)):
        assert images.labels.tolist() == list(LABELS)
        order = torch.tensor(sorted(range(9), key=lambda i: (LABELS[i], i)))  # of a folder: class by class
        assert wanted.labels.equal(images.labels[order])
        assert torch.equal(images.fetch(order), wanted.fetch(torch.arange(9)))
        assert images.fetch(torch.arange(9)).unique(dim=0).shape[0] == 9, part


def test_labels_in_every_kind_of_member(tmp_path):
    kinds = {
        "cls": lambda key, label: {f"{key}.cls": f"{label}\n".encode()},
        "txt": lambda key, label: {f"{key}.txt": CLASSES[label].encode()},
        "label": lambda key, label: {f"{key}.json": json.dumps({"label": label, "url": "x"}).encode()},
        "field": lambda key, label: {f"{key}.json": json.dumps({"label": None, "cls": CLASSES[label]}).encode()},
        "first": lambda key, label: {f"{key}.txt": b"a caption", f"{key}.CLS": str(label).encode()},
        "last": lambda key, label: {f"{key}.json": b"{}", f"{key}.txt": str(label).encode()},
    }
    for name, member in kinds.items():
        data = load_dataset("shards", make_shards(tmp_path / name, member), image_size=8)
        assert data.train.labels.tolist() == data.test.labels.tolist() == list(LABELS), name
        assert data.class_names == (CLASSES if name in ("txt", "field") else ("0", "1", "2"))


def test_whole_numbers_are_in_their_order_and_may_be_names_or_places_of_lines(tmp_path):
    make_shards(tmp_path, lambda key, label: {f"{key}.cls": str(9 + label).encode()})
    assert load_dataset("shards", tmp_path).class_names == ("9", "10", "11")
    write(tmp_path / "classes.txt", b"11\n10\n9\n")
    assert load_dataset("shards", tmp_path).train.labels.tolist() == [2 - label for label in LABELS]
    make_shards(tmp_path)
    (tmp_path / "classes.txt").rename(tmp_path / "classnames.txt")
    data = load_dataset("shards", tmp_path)
    assert data.class_names == ("11", "10", "9")
    assert data.train.labels.tolist() == list(LABELS)


def test_training_images_without_a_label(tmp_path):
    unlabelled = {1: {}, 3: {"cls": b"-1"}, 5: {"json": b'{"label": null}'}, 8: {"txt": b" "}}

    def member(key, label):
        usual = {"cls": str(label).encode()}
        kinds = unlabelled.get(int(key[-3:]), usual) if key.startswith("train") else usual
        return {f"{key}.{kind}": content for kind, content in kinds.items()}

    data = load_dataset("shards", make_shards(tmp_path, member))
    assert data.train.labels.tolist() == [-1 if i in unlabelled else label for i, label in enumerate(LABELS)]
    report = check("shards", tmp_path)
    assert not report.faults
    assert report.lines[0] == "train: 5 images of 3 classes, 1 (0) to 2 (1) each, and 4 unlabelled"


def test_recognised_in_both_layouts_and_checked(tmp_path):
    make_shards(tmp_path / "flat")
    for path in sorted((tmp_path / "flat").iterdir()):
        write(tmp_path / "deep" / path.name[: -len("-000000.tar")] / path.name, path.read_bytes())
    digests = []
    for root in (tmp_path / "flat", tmp_path / "deep"):
        assert recognise(root) == ("shards", root)
        report = check("shards", root)
        assert report.faults == report.remarks == []
        assert report.lines[0] == "train: 9 images of 3 classes, 3 each"
        assert report.lines[2] == "  height: 12 / 16 / 20 pixels (min / median / max)"
        digests.append(load_dataset("shards", root).train.digest())
    assert digests[0] == digests[1], "pixels in memory"
    write(tmp_path / "deep/train/cat/1.jpg", jpeg(0, 0))
    assert recognise(tmp_path / "deep")[0] == "folder"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_worker_processes_read_what_this_one_reads(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(encoded, "MEMORY_BUDGET", 0)
    data = load_dataset("shards", make_shards(tmp_path), image_size=8)
    images = data.train.take(torch.tensor([8, 1, 2, 6, 0, 3]))
    picture = PictureAugment((0.2, 1.0))
    settings = {"augment": None, "picture": picture, "mean": data.mean, "std": data.std, "seed": 3}
    found = []
    for count in (0, workers):
        loader = Loader(images, 2, train=True, device=torch.device("cpu"), workers=count, **settings)
        found.append(list(loader.epoch(1)))
        rest = list(loader.epoch(1, start_step=1))
        assert torch.equal(rest[0].image, found[-1][1].image)
    for one, other in zip(*found, strict=True):
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.target, images.labels[one.index])


def test_parts_and_hashes(tmp_path, monkeypatch):
    monkeypatch.setattr(encoded, "MEMORY_BUDGET", 0)
    images = load_dataset("shards", make_shards(tmp_path)).train
    whole = images.fetch(torch.arange(9))
    for part in (*split(images, 0.4, 0), subset(images, 6, 0)):
        names = [part.name(i) for i in range(len(part))]
        numbers = [next(i for i in range(9) if images.name(i) == name) for name in names]
        assert torch.equal(part.fetch(torch.arange(len(part))), whole[numbers])
        assert part.labels.equal(images.labels[numbers])
        assert part.digest() != images.digest()
    assert images.name(5) == f"{tmp_path}/train-000001.tar: train005.webp"
    assert images.digest() == load_dataset("shards", tmp_path).train.digest()
    (tmp_path / "train-000000.tar").touch()
    assert images.digest() != load_dataset("shards", tmp_path, image_size=8).train.digest()


def test_images_that_cannot_be_decoded(tmp_path, monkeypatch):
    members = {f"{key}.{kind}": image for key, kind, image, _ in samples("train")}
    labels = {f"{key}.cls": str(label).encode() for key, _, _, label in samples("train")}
    make_shards(tmp_path, each=9)
    tar(tmp_path / "train-000000.tar", {**members, "train001.png": b"no image", **labels})
    with pytest.raises(CrcdError, match=r"train: 1 of 9 .*\(.*train-000000\.tar: train001\.png\).*--skip-corrupt"):
        load_dataset("shards", tmp_path)
    assert check("shards", tmp_path).faults == [f"{tmp_path}/train-000000.tar: train001.png is not a readable image"]
    for budget in (2**31, 0):
        monkeypatch.setattr(encoded, "MEMORY_BUDGET", budget)
        data = load_dataset("shards", tmp_path, skip_corrupt=True)
        assert data.train.labels.tolist() == [LABELS[0], *LABELS[2:]]
    (tmp_path / "train-000000.tar").unlink()
    with pytest.raises(CrcdError, match=r"train-000000\.tar: train000\.jpg can't be read \(No such file"):
        data.train.fetch(torch.tensor([0]))


def test_a_shard_that_is_cut_short_anywhere_is_refused(tmp_path):
    make_shards(tmp_path)
    shard = tmp_path / "train-000001.tar"
    content = shard.read_bytes()
    with tarfile.open(shard) as archive:
        last = archive.getmembers()[-1]
        end = last.offset_data + tarfile.BLOCKSIZE
    for length in (0, 100, last.offset, last.offset + 100, last.offset_data, end - 1, end):
        shard.write_bytes(content[:length])
        with pytest.raises(CrcdError, match=r"train-000001\.tar is damaged or cut short.*: write it anew"):
            load_dataset("shards", tmp_path)
    shard.write_bytes(content[: last.offset] + b"x" * 512 + content[last.offset + 512 :])
    with pytest.raises(CrcdError, match=r"train-000001\.tar is damaged or cut short after train007"):
        load_dataset("shards", tmp_path)
    shard.write_bytes(content[: end + 512])
    assert len(load_dataset("shards", tmp_path).train) == 9, "one block of zeros ends it"


def plain(key: str, label: int) -> dict[str, bytes]:
    return {f"{key}.jpg": jpeg(label, 0), f"{key}.cls": str(label).encode()}


@pytest.mark.parametrize(
    ("file", "members", "named"),
    [
        ("train-1.tar", plain("train001", 0), r"train-000000\.tar and .*train-1\.tar both have a sample train001"),
        ("train-1.tar", {"a.jpg": b"", "a.png": b""}, r"train-1\.tar: a\.jpg and a\.png are of one sample"),
        ("train-1.tar", {"a/b.cls": b"1"}, r"train-1\.tar: a/b\.cls is the label of no image"),
        ("train-1.tar", {"a.jpg": b"", "a.cls": b"\xff"}, r"train-1\.tar: a\.cls is no label"),
        ("train-1.tar", {"a.jpg": b"", "a.json": b"{"}, r"train-1\.tar: a\.json is no label"),
        ("train-1.tar", {"a.jpg": b"", "a.json": b"[1]"}, r"a\.json is no label \(it is no mapping\)"),
        ("train-1.tar", {"a.jpg": b"", "a.json": b'{"cls": 0.5}'}, r"a\.json is no label \(0\.5 is neither"),
        ("val-1.tar", plain("a", 7), r"val-1\.tar: a\.jpg: '7' is the label of no training image"),
        ("val-1.tar", {"a.jpg": jpeg(0, 0)}, r"val-1\.tar: a\.jpg: it has no label"),
        ("classes.txt", b"a\nb\n", r"train-000000\.tar: train000\.jpg: '2' is no class of .*/classes\.txt"),
        ("classes.txt", b"0\n1\n2\n3\n", r"train: no image of 3: each class needs images"),
        ("classes.txt", b"a\na\n", r"classes\.txt names no class, or one twice"),
        ("classes.txt", b"\xff", r"classes\.txt can't be read"),
        ("train-1.tar", b"no tar at all" * 99, r"train-1\.tar is damaged or cut short \("),
        ("train-1.tar", gzip.compress(b"", mtime=0), r"train-1\.tar is compressed, .*: unpack it with gunzip"),
        ("train-1.tar.gz", gzip.compress(b"", mtime=0), r"train-1\.tar\.gz is compressed"),
        ("train/1.tar.zst", b"\x28\xb5\x2f\xfd", r"1\.tar\.zst is compressed, .*: unpack it with unzstd"),
    ],
)
def test_shards_that_are_wrong(tmp_path, file, members, named):
    make_shards(tmp_path, each=9)
    if isinstance(members, bytes):
        write(tmp_path / file, members)
    else:
        tar(tmp_path / file, members)
    with pytest.raises(CrcdError, match=named):
        load_dataset("shards", tmp_path, skip_corrupt=True)
    assert re.search(named, check(*recognise(tmp_path)).faults[0])


def test_shards_that_are_not_there(tmp_path):
    make_shards(tmp_path)
    for path in tmp_path.glob("val-*"):
        path.unlink()
    assert recognise(tmp_path)[0] == "shards"
    with pytest.raises(CrcdError, match=r"has no shards of val: name them val-\*\.tar, or put them into val/"):
        load_dataset("shards", tmp_path)
    for path in tmp_path.glob("train-*"):
        tar(path, {"README.md": b"", "a.txt": b"a text", "b.avif": b"", "._c.jpg": b""})
    tar(tmp_path / "val-0.tar", plain("a", 0))
    with pytest.raises(CrcdError, match=r"train: no shard holds an image: members are called KEY\.jpg or so \(jpg,"):
        load_dataset("shards", tmp_path)
