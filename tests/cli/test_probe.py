import json
import shutil

import pytest
import torch
from PIL import Image

from crcd.models import create_model, save_weights

PROBES = ("linear", "sgd", "knn")


@pytest.fixture
def complaint(crcd):
    def ask(*words):
        answer = crcd("probe", *words)
        assert (answer.status, answer.err.count("\n")) == (2, 1), answer
        return answer.err

    return ask


def scores(path):
    """Figures of a probe without times."""
    figures = json.loads(path.read_text())
    probes = (entry[name] for entry in figures["networks"] for name in entry.keys() & set(PROBES))
    for timed in (figures, *probes):
        del timed["seconds"]
    return figures


def test_a_process_says_the_same_as_this_one(crcd, start, finish, run, tmp_path):
    words = ("probe", run, "--device", "cpu", "--probes", "linear", "knn", "--out")
    answer = finish(start(*words, tmp_path / "other.json"))
    assert (answer.status, answer.err) == (0, "")
    assert crcd(*words, tmp_path / "own.json").status == 0
    figures = scores(tmp_path / "other.json")
    assert figures == scores(tmp_path / "own.json")
    assert [entry["name"] for entry in figures["networks"]] == ["teacher", "ce", "kd"]
    assert (figures["data"], figures["classes"]) == ("digits", 10)
    assert (figures["train_images"], figures["held_out_images"], figures["test_images"]) == (1437, 287, 360)
    assert {"seed", "commit", "device"} <= figures.keys()
    assert answer.out.splitlines()[-1] == f"all of it is in {tmp_path / 'other.json'}"
    assert "features of 1150 images by 3 networks" in answer.out
    assert "\x1b" not in answer.out
    for entry in figures["networks"]:
        row = next(line for line in answer.out.splitlines() if f" {entry['name']} " in line and "resnet8" in line)
        assert [f"{entry[name]['top1']:.2f}" for name in ("linear", "knn")] == row.split()[-2:]


def test_features_learned_beat_features_at_random(crcd, tmp_path):
    words = ("--device", "cpu", "--image-size", "8", "--out")
    assert crcd("train", "--model", "resnet8", "--epochs", "3", *words, tmp_path / "trained").status == 0
    (tmp_path / "untrained").mkdir()
    torch.manual_seed(0)
    known = {"model": "resnet8", "data": "digits", "num_classes": "10", "in_channels": "1", "image_size": "8"}
    file = tmp_path / "untrained" / "ce.safetensors"
    save_weights(create_model("resnet8", 10, 1).state_dict(), file, {**known, "mean": "0.3", "std": "0.3"})
    folders = (tmp_path / "trained", tmp_path / "untrained")
    assert crcd("probe", *folders, "--device", "cpu").status == 0
    trained, untrained = (scores(folder / "probe-digits.json")["networks"][0] for folder in folders)
    for name in PROBES:
        assert trained[name]["top1"] > untrained[name]["top1"] + 2


def test_other_images_of_other_classes(crcd, photographs, tmp_path):
    """Colour networks of two classes of photographs, on grey digits of ten."""
    words = ("--data", "folder", "--data-dir", photographs, "--image-size", "16", "--crop-padding", "1")
    run = tmp_path / "run"
    answer = crcd(
        "train",
        "--model",
        "resnet8",
        *words,
        "--batch-size",
        "4",
        "--epochs",
        "1",
        "--warmup-epochs",
        "0",
        "--out",
        run,
    )
    assert answer.status == 0, answer.err
    assert crcd("probe", run, "--probes", "knn").status == 0
    (entry,) = json.loads((run / "probe-digits.json").read_text())["networks"]
    assert entry["images"] == {
        "channels": 3,
        "size": 16,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "interpolation": "bilinear",
    }
    assert entry["trained_on"] == "folder"
    assert 10 < entry["knn"]["top1"] <= 100
    assert entry.keys() & set(PROBES) == {"knn"}


def test_photographs_by_their_own_network(crcd, tmp_path):
    root, run = tmp_path / "photographs", tmp_path / "run"
    for part in ("train", "val"):
        for number, name in enumerate(("dark", "light")):
            (root / part / name).mkdir(parents=True)
            for i in range(10):
                Image.new("RGB", (20, 18), (150 * number + 5 * i, 90, 60)).save(root / part / name / f"{i}.png")
    words = ("--data", root)
    sizes = ("--image-size", "16", "--batch-size", "4", "--epochs", "1", "--warmup-epochs", "0")
    assert crcd("train", "--model", "resnet8", *words, *sizes, "--out", run).status == 0
    assert crcd("probe", run, *words, "--probes", "linear").status == 0
    figures = json.loads((run / "probe-folder-photographs.json").read_text())
    assert (figures["data"], figures["data_dir"]) == ("folder", str(root))
    assert (figures["classes"], figures["train_images"], figures["held_out_images"]) == (2, 20, 4)
    assert figures["networks"][0]["linear"]["top1"] == 100
    root.rename(tmp_path / "others")
    assert crcd("probe", run, "--data", tmp_path / "others", "--probes", "knn").status == 0
    assert {path.name for path in run.glob("probe-*")} == {"probe-folder-photographs.json", "probe-folder-others.json"}


def test_mistakes(complaint, run, photographs, tmp_path):
    assert "crcd probe needs the folder of a run" in complaint()
    assert "absent: there is no such folder" in complaint(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    assert "empty: it holds no weights" in complaint(tmp_path / "empty")
    assert "--out is " in complaint(run, "--out", tmp_path / "absent" / "x.json")
    assert "--out is " in complaint(run, "--out", tmp_path)
    assert "--holdout is 0.0" in complaint(run, "--holdout", "0")
    assert "unknown data set 'digit'" in complaint(run, "--data", "digit")
    assert "cifar100 needs --data-dir" in complaint(run, "--data", "cifar100")
    error = complaint(run, "--data", "folder", "--data-dir", photographs)
    assert "network 'teacher' takes images of 1 channel, those of folder have 3" in error
    shutil.rmtree(photographs / "train" / "dog")
    shutil.rmtree(photographs / "val" / "dog")
    assert "one class only (cat)" in complaint(run, "--data", "folder", "--data-dir", photographs)


def test_weights_without_statistics(complaint, tmp_path, weights):
    shutil.copy(weights, tmp_path / "ce.safetensors")
    assert "ce.safetensors: their metadata has no 'mean'; train the network" in complaint(tmp_path)
