import json
import sys
from statistics import mean, stdev

import numpy as np
import onnxruntime
import pytest
import timm
import torch

from crcd.errors import CrcdError
from crcd.evaluate.predict import predict
from crcd.export import ExportOptions, export, load_classifier, to_pt2
from crcd.export.source import read_source
from crcd.models import create_model, load_weights, read_metadata
from crcd.train.config import DistillConfig, TrainConfig
from crcd.train.distill import distill
from crcd.train.material import Material
from crcd.train.options import DataOptions
from crcd.train.scratch import train

FORMATS = ("safetensors", "onnx", "pt2")


def test_the_folder_of_an_export(photo_export, photo_run):
    assert photo_export == photo_run / "export" / "ce-safetensors-onnx-pt2"
    files = {path.name: path.stat().st_size for path in photo_export.iterdir()}
    assert files.keys() == {"model.safetensors", "model.onnx", "model.pt2", "config.json", "README.md"}
    config = json.loads((photo_export / "config.json").read_text())
    assert config["label_names"] == ["cat [red]", "dog | b`ig"]
    assert config["pretrained_cfg"]["input_size"] == [3, 16, 16]
    summary = json.loads((photo_run / "summary.json").read_text())
    assert config["crcd"]["top1"] == summary["learners"]["ce"]["top1"]
    for name, written in config["crcd"]["files"].items():
        assert written["bytes"] == files[name]
        assert (written["images"], written["top1_agreement"]) == (12, 100)
        assert written["largest_difference"] < 1e-4
    assert read_metadata(photo_export / "model.safetensors") == read_metadata(photo_run / "ce.safetensors")


@pytest.mark.parametrize("name", FORMATS)
def test_each_form_classifies_the_files_as_the_run_did(photo_export, photo_run, photographs, small, name):
    material = Material.load(DataOptions(data="folder", data_dir=photographs, image_size=16), 0, torch.device("cpu"))
    model = create_model("resnet8", 2, 3)
    load_weights(model, photo_run / "ce.safetensors")
    (logits_NC,) = predict([model], material.score_loader().epoch(0))
    assert len(logits_NC.argmax(dim=1).unique()) == 2
    classifier = load_classifier(photo_export / f"model.{name}", trust=True)
    files = [path for folder in sorted((photographs / "val").iterdir()) for path in sorted(folder.iterdir())]
    assert len(files) == len(logits_NC)
    for path, logits_C in zip(files, logits_NC, strict=True):
        answers = {answer.name: answer.probability for answer in classifier.classify(path)}
        expected = dict(zip(material.data.class_names, logits_C.softmax(dim=0).tolist(), strict=True))
        assert answers == pytest.approx(expected, abs=1e-5)
        assert next(iter(answers)) == material.data.class_names[int(logits_C.argmax())]


def test_a_run_of_several_learners_needs_a_name_unless_one_is_crcds(digit_runs, tmp_path):
    with pytest.raises(CrcdError, match=r"has several learners: name one with --learner: ce, kd"):
        read_source(digit_runs[:1], None)
    with pytest.raises(CrcdError, match=r"unknown learner of run .* 'dk': did you mean kd"):
        read_source(digit_runs[:1], "dk")
    assert read_source(digit_runs[:1], "teacher").description.model == "resnet14"


def test_the_spread_over_seeds(digit_runs, tmp_path):
    done = export(digit_runs, ExportOptions(learner="kd", out=tmp_path / "kd"))
    summaries = [json.loads((run / "summary.json").read_text()) for run in digit_runs]
    values = [summary["learners"]["kd"]["top1"] for summary in summaries]
    own = json.loads((done.folder / "config.json").read_text())["crcd"]
    assert own["top1"] == values[0]
    assert own["top1_over_seeds"] == {
        "mean": pytest.approx(mean(values)),
        "std": pytest.approx(stdev(values)),
        "seeds": 2,
    }
    over = "mean ± standard deviation over 2 seeds; these files are of seed 3."
    said = f"{mean(values):.2f} ± {stdev(values):.2f} %, {over}"
    assert said in (done.folder / "README.md").read_text()
    assert read_metadata(done.folder / "model.safetensors")["model"] == "resnet8"


def test_runs_that_are_no_seeds_of_one(digit_runs, photo_run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name in ("config.yaml", "summary.json"):
        text = (digit_runs[1] / name).read_text()
        (other / name).write_text(text.replace("\nepochs: 3", "\nepochs: 4"))
    with pytest.raises(CrcdError, match=r"differ in epochs: give runs that differ in their seed alone"):
        read_source([digit_runs[0], other], "kd")
    with pytest.raises(CrcdError, match="unknown learner"):
        read_source([digit_runs[0], photo_run], "kd")
    (other / "config.yaml").write_text((digit_runs[0] / "config.yaml").read_text())
    (other / "summary.json").write_text((digit_runs[0] / "summary.json").read_text())
    with pytest.raises(CrcdError, match="the runs have seeds 3, 3: give runs of different seeds"):
        read_source([digit_runs[0], other], "kd")


@pytest.mark.parametrize("kind", ["another class", "not finite", "an exception"])
def test_an_export_that_is_not_the_network_leaves_nothing(photo_run, tmp_path, monkeypatch, kind):
    def read(path, description):
        if kind == "an exception":
            raise CrcdError("no such operation")
        return lambda image: torch.full((len(image), 2), torch.nan) if kind == "not finite" else -real(path)(image)

    def real(path):
        return original(path, None)

    original = to_pt2.read
    monkeypatch.setattr(to_pt2, "read", read)
    out = tmp_path / "exports" / "mine"
    expected = {
        "another class": r"gives 100\.00 % of 12 images another class .*: it is not kept; try another --format",
        "not finite": "logits are not finite",
        "an exception": "no such operation",
    }
    with pytest.raises(CrcdError, match=expected[kind]):
        export([photo_run], ExportOptions(format=("safetensors", "pt2"), out=out))
    assert list((tmp_path / "exports").iterdir()) == []


def test_a_folder_in_use_is_left_alone(photo_run, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CrcdError, match="exists and is not empty: remove it, or name another folder with --out"):
        export([photo_run], ExportOptions(out=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    (tmp_path / "empty").mkdir()
    assert (export([photo_run], ExportOptions(out=tmp_path / "empty")).folder / "model.safetensors").is_file()


def test_the_data_may_lie_elsewhere_but_must_be_of_the_same_classes(photo_run, photographs, tmp_path):
    moved = tmp_path / "moved"
    moved.symlink_to(photographs)
    done = export([photo_run], ExportOptions(data_dir=moved, out=tmp_path / "a"))
    assert done.files[0].check.images == 12
    with pytest.raises(CrcdError, match="data set digits has other classes than"):
        export([photo_run], ExportOptions(data="digits", out=tmp_path / "b"))
    assert not (tmp_path / "b").exists()


def test_a_teacher_that_takes_other_images_than_the_data(photo_run, photographs, small, tmp_path):
    """It is checked on the data's images as the run adapted them to it."""
    settings = {**small, "image_size": 12, "epochs": 1, "out": tmp_path / "run", "weak_teacher": True}
    given = {"teacher": "resnet8", "teacher_weights": photo_run / "ce.safetensors", "student": "resnet8"}
    run = distill(DistillConfig(methods=("ce",), **given, **settings)).folder
    done = export([run], ExportOptions(learner="teacher", format=("safetensors", "pt2")))
    assert {file.check.top1_agreement for file in done.files} == {100}
    config = json.loads((done.folder / "config.json").read_text())
    assert config["pretrained_cfg"]["input_size"] == [3, 16, 16]


def test_timm_itself_loads_the_folder(small, photographs, tmp_path):
    settings = {**small, "image_size": 32, "epochs": 1}
    run = train(TrainConfig(model="timm/mobilenetv3_small_050", out=tmp_path / "run", **settings)).folder
    folder = export([run], ExportOptions()).folder
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert model.pretrained_cfg["label_names"] == ["cat [red]", "dog | b`ig"]
    classifier = load_classifier(folder)
    image = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(image), classifier.logits(image))


CODE = """
from torch import nn

def network(num_classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, num_classes))
"""


def test_a_network_of_ones_own_code_is_run_where_the_user_names_it(small, tmp_path, monkeypatch):
    (tmp_path / "own_export_network.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    name = "own_export_network:network"
    run = train(TrainConfig(model=name, out=tmp_path / "run", **{**small, "epochs": 1})).folder
    with pytest.raises(CrcdError, match="code that is not run on a file's word: name it yourself"):
        export([run], ExportOptions())
    folder = export([run], ExportOptions(format=("safetensors", "pt2"), model=name)).folder
    with pytest.raises(CrcdError, match="code that is not run on a file's word"):
        load_classifier(folder)
    image = torch.randn(2, 3, 16, 16)
    weights = load_classifier(folder, model=name).logits(image)
    (tmp_path / "own_export_network.py").unlink()
    del sys.modules["own_export_network"]
    program = load_classifier(folder / "model.pt2", model=name, trust=True).logits(image)
    torch.testing.assert_close(program, weights)


def test_int8_is_measured_and_kept_whatever_it_loses(photo_run, photographs, tmp_path, monkeypatch):
    done = export([photo_run], ExportOptions(format=("onnx",), int8=True, out=tmp_path / "out"))
    path = done.folder / "model.int8.onnx"
    assert path.stat().st_size < 0.5 * (done.folder / "model.onnx").stat().st_size
    material = Material.load(DataOptions(data="folder", data_dir=photographs, image_size=16), 0, torch.device("cpu"))
    (batch,) = material.score_loader().epoch(0)
    session = onnxruntime.InferenceSession(path)
    (logits,) = session.run(None, {"image": batch.image.contiguous().numpy()})
    assert done.int8.top1 == 100 * np.mean(logits.argmax(axis=1) == batch.target.numpy())
    assert done.int8.float_top1 == json.loads((photo_run / "summary.json").read_text())["learners"]["ce"]["top1"]
    assert (done.int8.images, done.int8.calibration_images) == (12, 16)
    config = json.loads((done.folder / "config.json").read_text())["crcd"]
    assert config["int8"]["top1"] == done.int8.top1
    difference = config["files"]["model.int8.onnx"]["largest_difference"]
    assert config["files"]["model.onnx"]["largest_difference"] < 1e-4 < difference
    weights = {node.name for node in session.get_inputs()}
    assert weights == {"image"}
    answers = load_classifier(path).classify(photographs / "val" / "cat [red]" / "0.png")
    assert {answer.name for answer in answers} == {"cat [red]", "dog | b`ig"}


def test_int8_needs_the_program():
    with pytest.raises(CrcdError, match="--int8 is True: give --format onnx, too"):
        ExportOptions(format=("pt2",), int8=True)
    with pytest.raises(CrcdError, match="--format is empty"):
        ExportOptions(format=())
