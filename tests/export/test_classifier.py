import json
import shutil
from dataclasses import replace

import pytest

from crcd.errors import CrcdError
from crcd.export import ExportOptions, export, load_classifier
from crcd.models import create_model, save_weights


def picture(photographs):
    return photographs / "val" / "cat [red]" / "0.png"


def test_a_run_is_read_like_an_export_of_it(photo_run, photo_export, photographs):
    found = load_classifier(photo_run).classify(picture(photographs))
    assert found == load_classifier(photo_export).classify(picture(photographs))
    assert sum(answer.probability for answer in found) == pytest.approx(1)
    assert found[0].probability >= found[1].probability
    assert load_classifier(photo_run).classify(picture(photographs), top=1) == found[:1]


def test_a_learner_of_a_run(digit_runs):
    assert load_classifier(digit_runs[0], learner="teacher").description.model == "resnet14"
    with pytest.raises(CrcdError, match="has several learners: name one with --learner"):
        load_classifier(digit_runs[0])


def test_methods_that_a_run_names_are_not_imported(digit_runs, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(digit_runs[0], run)
    summary = json.loads((run / "summary.json").read_text())
    summary["learners"]["code_beside_an_export:Term"] = summary["learners"].pop("ce")
    (run / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "code_beside_an_export.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for take in (load_classifier, lambda path: export([path], ExportOptions())):
        with pytest.raises(CrcdError, match="has several learners: name one with --learner"):
            take(run)
    assert not (tmp_path / "ran").exists()


def test_weights_are_taken_before_programs(photo_export, tmp_path):
    shutil.copy(photo_export / "model.pt2", tmp_path)
    with pytest.raises(CrcdError, match=r"model\.pt2: opening it can run code that is in it: give --trust"):
        load_classifier(tmp_path)
    shutil.copy(photo_export / "model.onnx", tmp_path)
    load_classifier(tmp_path)


def test_mistakes(photo_export, tmp_path, digit_runs):
    with pytest.raises(CrcdError, match="absent: there is no such file or folder"):
        load_classifier(tmp_path / "absent")
    with pytest.raises(
        CrcdError, match=r"is neither an export \(\.safetensors, \.onnx, \.pt2\) nor the folder of a run"
    ):
        load_classifier(tmp_path)
    with pytest.raises(CrcdError, match=r"README\.md is neither an export"):
        load_classifier(photo_export / "README.md")
    with pytest.raises(CrcdError, match=r"--learner is kd, but .* is no folder of a run"):
        load_classifier(photo_export, learner="kd")
    (tmp_path / "config.yaml").write_text("methods: [ce]\n")
    with pytest.raises(CrcdError, match="it has not ended"):
        load_classifier(tmp_path)


def test_names_that_are_not_those_of_the_logits(photo_export, photographs):
    classifier = load_classifier(photo_export)
    one = replace(classifier, description=replace(classifier.description, class_names=("cat",)))
    with pytest.raises(CrcdError, match="gives 2 logits, but 1 classes are named"):
        one.classify(picture(photographs))


def test_weights_without_class_names(tmp_path):
    file = tmp_path / "old.safetensors"
    known = {"model": "resnet8", "data": "digits", "in_channels": "1", "image_size": "8", "mean": "0.3", "std": "0.3"}
    save_weights(create_model("resnet8", 10, 1).state_dict(), file, known)
    with pytest.raises(CrcdError, match=r"old\.safetensors: it does not say its class names"):
        load_classifier(file)
