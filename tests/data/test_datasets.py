"""Data sets by name: what they hold, and what is said of input that is wrong."""

import shutil
import weakref
from pathlib import Path

import pytest
import torch
from PIL import Image

from crcd.data import (
    UNLABELLED,
    Loader,
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
from crcd.data import encoded as encoded_module
from crcd.data.decode import decode
from crcd.data.folder import folder_parts
from crcd.data.recognise import recognise
from crcd.errors import CrcdError

ROOT = Path(__file__).parents[2] / ".data"
MODES = {"a.jpg": "RGB", "b.png": "L", "c.png": "RGBA", "d.jpg": "CMYK", "e.png": "P"}


def make_folder(root: Path) -> Path:
    for part in ("train", "val"):
        for shade, name in ((40, "dark"), (200, "light")):
            (root / part / name).mkdir(parents=True)
            for file, mode in MODES.items():
                Image.new("RGB", (20, 14), (shade, shade, shade)).convert(mode).save(root / part / name / file)
    return root


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
    for name in ("train/dark/a.HEIC", "train/light/b.heic", "val/dark/c.gif", "val/dark/notes.txt"):
        (root / name).write_bytes(b"x")
    (root / "train/dark/loop").symlink_to(root / "train")
    data = load_dataset("folder", root)
    assert len(data.train) == len(data.test) == 10
    assert caplog.messages == [
        f"{root}: 1 files of the kind .gif are not read: convert them to .png or .jpg",
        f"{root}: 2 files of the kind .heic are not read: convert them to .png or .jpg",
    ]


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
