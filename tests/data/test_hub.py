"""Data sets that the Hugging Face library reads, here from a folder of its own format."""

import builtins

import pytest
import torch

from crcd.data import Loader, TensorImages, default_recipe, encoded, hub, load_dataset
from crcd.data.check import check
from crcd.errors import CrcdError
from data_formats import jpeg

datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def columns(labels):
    pictures = [{"bytes": jpeg(label or 0, i, (20, 16)), "path": None} for i, label in enumerate(labels)]
    return {"coarse": [0] * len(labels), "fine": labels, "picture": pictures}


def make_hub(folder, splits, **changed):
    kinds = {
        "coarse": datasets.ClassLabel(names=["animal"]),
        "fine": datasets.ClassLabel(names=["cat", "dog", "eel"]),
        "picture": datasets.Image(),
    }
    features = datasets.Features({**kinds, **changed})
    for split, labels in splits.items():
        rows = datasets.Dataset.from_dict(columns(labels), features=features)
        folder.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return f"hf/{folder}"


TRAIN = [0, 1, 2, 2, 1, 0]


def test_columns_are_found_by_type(tmp_path):
    data = load_dataset(make_hub(tmp_path / "set", {"train": TRAIN, "test": [2, 1]}), tmp_path / "cache", image_size=8)
    assert data.class_names == ("cat", "dog", "eel")
    assert data.train.labels.tolist() == TRAIN
    assert data.test.labels.tolist() == [2, 1]
    pixels = data.train.fetch(torch.arange(6))
    assert pixels[:, 0, 0, 0].tolist() == pytest.approx([25 * label + 5 for label in TRAIN], abs=2)
    assert data.mean == pytest.approx((pixels.double() / 255).mean((0, 2, 3)).tolist())
    deviation = (pixels.double() / 255).std((0, 2, 3), correction=0)
    assert deviation[2] < 1 / 255
    assert data.std == pytest.approx(deviation.clamp(min=1 / 255).tolist())
    assert default_recipe(data.name) == "folder"


def test_the_column_that_is_learned(tmp_path, monkeypatch, caplog):
    """With one that is called label, it; else the one with most classes, and that is said."""
    load_dataset(make_hub(tmp_path / "most", {"train": TRAIN, "test": [2, 1]}), tmp_path / "cache")
    (message,) = caplog.messages
    assert "labels are of column fine, which has most classes (3), not of coarse; if another is meant" in message
    caplog.clear()
    plain = columns
    monkeypatch.setitem(globals(), "columns", lambda labels: plain(labels) | {"label": [i % 2 for i in labels]})
    kind = datasets.ClassLabel(names=["sick", "healthy"])
    data = load_dataset(make_hub(tmp_path / "label", {"train": TRAIN, "test": [2, 1]}, label=kind), tmp_path / "cache")
    assert data.class_names == ("sick", "healthy")
    assert data.test.labels.tolist() == [0, 1]
    assert not caplog.messages


def test_unlabelled_test_split_is_passed_over(tmp_path):
    name = make_hub(tmp_path / "set", {"train": TRAIN, "test": [-1, 0], "validation": [1]})
    assert load_dataset(name, tmp_path / "cache").test.labels.tolist() == [1]


@pytest.mark.parametrize("workers", [0, 1])
def test_too_big_for_memory_gives_the_same_batches(tmp_path, monkeypatch, workers):
    name = make_hub(tmp_path / "set", {"train": TRAIN, "validation": [0]})
    found, statistics = [], set()
    for budget in (2**31, 0):
        monkeypatch.setattr(encoded, "MEMORY_BUDGET", budget)
        data = load_dataset(name, tmp_path / "cache", image_size=8)
        assert isinstance(data.train, TensorImages) == (budget > 0)
        statistics.add((data.mean, data.std))
        kept = data.train.take(torch.tensor([5, 3, 1]))
        settings = {"augment": None, "mean": data.mean, "std": data.std, "device": torch.device("cpu"), "seed": 0}
        loader = Loader(kept, 3, train=True, workers=workers, **settings)
        found.append(next(loader.epoch(1)))
    assert len(statistics) == 1
    assert torch.equal(found[0].image, found[1].image)
    assert found[0].target.tolist() == found[1].target.tolist()
    assert kept.digest() == kept.take(torch.arange(3)).digest()
    assert len({images.digest() for images in (kept, data.train, data.test, kept.take(torch.tensor([0, 1])))}) == 4


def test_corrupt_rows(tmp_path, monkeypatch):
    broken = columns(TRAIN)
    broken["picture"][1]["bytes"] = b"no image"
    broken["picture"][2] = None
    monkeypatch.setitem(globals(), "columns", lambda labels: broken)
    name = make_hub(tmp_path / "set", {"train": TRAIN, "test": TRAIN})
    with pytest.raises(CrcdError, match=r"train: 2 of 6 .* \(row 1 of train, row 2 of train\).*--skip-corrupt"):
        load_dataset(name, tmp_path / "cache")
    for budget in (2**31, 0):
        monkeypatch.setattr(encoded, "MEMORY_BUDGET", budget)
        data = load_dataset(name, tmp_path / "cache", skip_corrupt=True)
        assert data.test.labels.tolist() == [0, 2, 1, 0]


def test_rows_and_splits_without_labels_are_learned_from_without(tmp_path, monkeypatch):
    splits = {"train": [0, None, 2, -1, 1], "unsupervised": [0, 0], "test": [2, 1], "unlabelled": [None]}
    name = make_hub(tmp_path / "set/data", splits).removesuffix("/data")  # where split names are free
    colours = [5, 5, 55, -20, 30, 5, 5, 5]  # that of the label, as it is written
    for budget in (2**31, 0):
        monkeypatch.setattr(encoded, "MEMORY_BUDGET", budget)
        data = load_dataset(name, tmp_path / "cache", image_size=8)
        assert data.train.labels.tolist() == [0, -1, 2, -1, 1, -1, -1, -1]
        assert data.test.labels.tolist() == [2, 1]
        reds = data.train.fetch(torch.arange(8))[:, 0, 0, 0].tolist()
        assert reds == pytest.approx([max(0, red) for red in colours], abs=2)
    assert [data.train.name(i) for i in (4, 5, 6, 7)] == [
        "row 4 of train",
        "row 0 of unlabelled",
        "row 0 of unsupervised",
        "row 1 of unsupervised",
    ]
    report = check(name, tmp_path / "cache")
    assert report.lines[0] == "train: 3 images of 3 classes, 1 each, and 5 unlabelled"
    assert not report.faults


def test_data_sets_that_are_none(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    with pytest.raises(CrcdError, match=r"hf/nobody/nothing could not be loaded .*huggingface\.co/datasets"):
        load_dataset("hf/nobody/nothing", cache)
    with pytest.raises(CrcdError, match=r"has no labelled split to score on: .*\(it has train\)"):
        load_dataset(make_hub(tmp_path / "a", {"train": TRAIN}), cache)
    with pytest.raises(CrcdError, match=r"has no split train \(it has test\)"):
        load_dataset(make_hub(tmp_path / "b", {"test": TRAIN}), cache)
    number = datasets.Value("int64")
    with pytest.raises(CrcdError, match="needs columns of types Image and ClassLabel"):
        load_dataset(make_hub(tmp_path / "c", {"train": TRAIN, "test": TRAIN}, fine=number, coarse=number), cache)
    with pytest.raises(CrcdError, match="training images: none has a label in column fine"):
        load_dataset(make_hub(tmp_path / "d", {"train": [-1, None], "test": TRAIN}), cache)
    monkeypatch.setattr(hub, "_labels", lambda rows, column: [0, -2])
    with pytest.raises(CrcdError, match="labelled training images: label -2 of image 1 is out of range"):
        load_dataset(make_hub(tmp_path / "e", {"train": [0, 1], "test": TRAIN}), cache)
    with pytest.raises(CrcdError, match="unknown data set 'hf/'"):
        load_dataset("hf/", cache)


def test_library_is_absent(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name == "datasets":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(CrcdError, match=r'hf/mnist needs the package datasets: pip install "crcd\[hub\]"'):
        load_dataset("hf/mnist", None)


def test_configuration_is_named_after_a_colon(tmp_path):
    make_hub(tmp_path / "set/a", {"train": TRAIN, "test": [0]})
    make_hub(tmp_path / "set/b", {"train": TRAIN, "test": [1]})
    configurations = "".join(f"- config_name: {name}\n  data_dir: {name}\n" for name in "ab")
    (tmp_path / "set/README.md").write_text(f"---\nconfigs:\n{configurations}---\n")
    with pytest.raises(CrcdError, match=r"Config name is missing.*\['a', 'b'\]"):
        load_dataset(f"hf/{tmp_path}/set", tmp_path / "cache")
    assert load_dataset(f"hf/{tmp_path}/set:b", tmp_path / "cache").test.labels.tolist() == [1]
