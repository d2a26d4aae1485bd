"""Folders of photographs: what is read, what is passed over, and what is said of files that are wrong."""

import shutil
import weakref
from pathlib import Path

import pytest
import torch
from PIL import Image

from crcd.data import UNLABELLED, Loader, TensorImages, load_dataset
from crcd.data import encoded as encoded_module
from crcd.data.check import check
from crcd.data.decode import decode
from crcd.data.folder import folder_parts
from crcd.data.recognise import recognise
from crcd.errors import CrcdError

MODES = {"a.jpg": "RGB", "b.png": "L", "c.png": "RGBA", "d.jpg": "CMYK", "e.png": "P"}


def make_folder(root: Path) -> Path:
    for part in ("train", "val"):
        for shade, name in ((40, "dark"), (200, "light")):
            (root / part / name).mkdir(parents=True)
            for file, mode in MODES.items():
                Image.new("RGB", (20, 14), (shade, shade, shade)).convert(mode).save(root / part / name / file)
    return root


def test_folder_reads_every_kind_of_image(tmp_path):
    data = load_dataset("folder", make_folder(tmp_path), image_size=8)
    assert data.class_names == ("dark", "light")
    assert len(data.train) == len(data.test) == 10
    pixels = data.train.fetch(torch.arange(10)).float().mean(dim=(1, 2, 3))
    assert (pixels[data.train.labels == 0] - 40).abs().max() < 6
    assert (pixels[data.train.labels == 1] - 200).abs().max() < 6


@pytest.mark.parametrize("flat", [False, True])
def test_folder_without_images_to_score_on(tmp_path, caplog, flat):
    root = make_folder(tmp_path)
    shutil.rmtree(root / "val")
    (root / "train" / "dark" / "f.png").write_bytes((root / "train" / "dark" / "b.png").read_bytes())
    (root / "unlabelled").mkdir()
    (root / "unlabelled" / "x.png").write_bytes((root / "train" / "dark" / "b.png").read_bytes())
    if flat:
        for path in (root / "train").iterdir():
            path.rename(root / path.name)
        (root / "train").rmdir()
    assert recognise(root) == ("folder", root)
    for _ in range(2):
        data = load_dataset("folder", root, image_size=8)
    assert data.class_names == ("dark", "light")
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([0] * 5 + [1] * 4 + [UNLABELLED], [0, 1])
    scored = folder_parts(root)[1]
    assert [Path(path).name for path, _ in scored.samples] == ["c.png"] * 2
    (message,) = caplog.messages
    assert message.endswith("has no val/: every fifth image of each class is scored, the others are learned from")


def test_pictures_of_a_kind_that_is_not_read_are_named(tmp_path, caplog):
    root = make_folder(tmp_path)
    (root / "unlabelled").mkdir()
    (root / "report").mkdir()
    for name in (
        "train/dark/a.HEIC",
        "train/dark/c.gif",
        "train/light/b.heic",
        "val/dark/notes.txt",
        "unlabelled/d.gif",
    ):
        (root / name).write_bytes(b"x")
    (root / "report/figure.svg").write_bytes(b"no image of the data set")
    (root / "train/dark/loop").symlink_to(root / "train")
    data = load_dataset("folder", root)
    assert len(data.train) == len(data.test) == 10
    assert caplog.messages == [
        f"{root / 'train'}: its .gif files (1) and .heic files (2) are not read: convert them to .png or .jpg",
        f"{root / 'unlabelled'}: its .gif files (1) are not read: convert them to .png or .jpg",
    ]


def test_a_folder_of_such_pictures_alone(tmp_path):
    for name in ("dark", "light"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.heic").write_bytes(b"x")
    with pytest.raises(CrcdError, match=r"holds no picture that can be read: its \.heic files \(2\) are not read"):
        recognise(tmp_path)


def test_folder_too_big_for_memory_gives_the_same_batches(tmp_path, monkeypatch):
    root = make_folder(tmp_path)
    found = []
    for budget in (2**31, 0):
        monkeypatch.setattr(encoded_module, "MEMORY_BUDGET", budget)
        data = load_dataset("folder", root, image_size=8)
        loader = Loader(
            data.train, 4, augment=None, mean=data.mean, std=data.std, device=torch.device("cpu"), seed=0, train=True
        )
        found.append(next(loader.epoch(1)))
        assert isinstance(data.train, TensorImages) == (budget > 0)
    assert torch.equal(found[0].image, found[1].image)
    assert torch.equal(found[0].index, found[1].index)


@pytest.mark.parametrize("budget", [2**31, 0])
def test_corrupt_images_are_counted_named_and_skipped(tmp_path, monkeypatch, budget, caplog):
    root = make_folder(tmp_path)
    (root / "train/dark/a.jpg").write_bytes(b"no image")
    whole = (root / "train/light/a.jpg").read_bytes()
    (root / "train/light/a.jpg").write_bytes(whole[: len(whole) // 2])
    if budget:
        with pytest.raises(CrcdError, match=r"2 of 10 images can't be read .*dark/a\.jpg.*--skip-corrupt"):
            load_dataset("folder", root, image_size=8)
    monkeypatch.setattr(encoded_module, "MEMORY_BUDGET", budget)
    data = load_dataset("folder", root, image_size=8, skip_corrupt=True)
    assert len(data.train) == 8
    assert data.train.fetch(torch.arange(8)).shape == (8, 3, 8, 8)
    assert "2 of 10" in caplog.text


@pytest.mark.parametrize("budget", [2**31, 0])
def test_class_that_is_corrupt_throughout(tmp_path, monkeypatch, budget):
    root = make_folder(tmp_path)
    for file in MODES:
        (root / "val/dark" / file).write_bytes(b"")
    monkeypatch.setattr(encoded_module, "MEMORY_BUDGET", budget)
    with pytest.raises(CrcdError, match=r"5 of 10 .*val/dark/a\.jpg.*leaves a class without images"):
        load_dataset("folder", root, image_size=8, skip_corrupt=True)


def test_reading_a_folder_writes_nothing_to_stdout(tmp_path, capsys):
    load_dataset("folder", make_folder(tmp_path), image_size=8)
    assert capsys.readouterr().out == ""


def test_looking_for_corrupt_images_keeps_no_pixels(tmp_path, monkeypatch):
    owners, most = [], 0

    def watched(path: Path, size: int, name: str) -> torch.Tensor:
        nonlocal most
        pixels = decode(path, size, name).numpy().copy()
        owners.append(weakref.ref(pixels))
        most = max(most, sum(owner() is not None for owner in owners))
        return torch.from_numpy(pixels)

    root = make_folder(tmp_path)
    monkeypatch.setattr(encoded_module, "MEMORY_BUDGET", 0)
    monkeypatch.setattr(encoded_module, "decode", watched)
    monkeypatch.setattr(encoded_module.os, "cpu_count", lambda: 1)
    load_dataset("folder", root, image_size=8, skip_corrupt=True)
    assert len(owners) == 20
    assert most <= 2


def test_corrupt_image_met_while_decoding(tmp_path, monkeypatch):
    root = make_folder(tmp_path)
    (root / "train/dark/a.jpg").write_bytes(b"no image")
    monkeypatch.setattr(encoded_module, "MEMORY_BUDGET", 0)
    data = load_dataset("folder", root, image_size=8)
    with pytest.raises(CrcdError, match=r"dark/a\.jpg is not a readable image.*--skip-corrupt"):
        data.train.fetch(torch.arange(10))


def test_faulty_folders(tmp_path):
    with pytest.raises(CrcdError, match="train is missing"):
        load_dataset("folder", tmp_path / "nowhere")
    (tmp_path / "a/train").mkdir(parents=True)
    with pytest.raises(CrcdError, match=r"train holds no class folder: each class needs a folder with images"):
        load_dataset("folder", tmp_path / "a")
    root = make_folder(tmp_path / "b")
    (root / "train/empty").mkdir()
    with pytest.raises(CrcdError, match=r"empty.*each class needs images"):
        load_dataset("folder", root)
    (root / "train/empty").rmdir()
    (root / "val/light").rename(root / "val/bright")
    with pytest.raises(CrcdError, match=r"different classes \(bright, light\)"):
        load_dataset("folder", root)
    for part in ("train/light", "val/bright"):
        for file in (root / part).iterdir():
            file.unlink()
        (root / part).rmdir()
    with pytest.raises(CrcdError, match=r"one class only \(dark\)"):
        load_dataset("folder", root)


def test_unlabelled_folder(tmp_path):
    root = make_folder(tmp_path)
    for name in ("a.jpg", "deep/b.png"):
        (root / "unlabelled" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (120, 120, 120)).save(root / "unlabelled" / name)
    (root / "unlabelled/notes.txt").write_text("no image")
    data = load_dataset("folder", root, image_size=8)
    assert data.class_names == ("dark", "light")
    assert data.train.labels.tolist() == [0] * 5 + [1] * 5 + [-1] * 2
    assert data.train.fetch(torch.tensor([10, 11])).unique().tolist() == [120]
    assert len(data.test) == 10


def test_unlabelled_folder_in_a_part_is_refused(tmp_path):
    root = make_folder(tmp_path)
    (root / "train/unlabelled").mkdir()
    Image.new("RGB", (9, 9)).save(root / "train/unlabelled/a.png")
    for val in (True, False):
        with pytest.raises(CrcdError, match=r"train/unlabelled is no class: move it beside train/$"):
            load_dataset("folder", root, image_size=8)
        assert "move it beside train/" in check("folder", root).faults[0]
        if val:
            shutil.rmtree(root / "val")
