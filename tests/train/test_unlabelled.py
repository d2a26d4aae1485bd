"""Runs with images whose class is not known."""

import json
from dataclasses import replace

import pytest
import torch

from crcd.data import load_dataset, relabelled
from crcd.errors import CrcdError
from crcd.relation.config import RelationConfig
from crcd.train import material
from crcd.train.config import TrainConfig
from crcd.train.distill import distill
from crcd.train.reporter import Reporter
from crcd.train.scratch import train
from together import together

HIDDEN = 1200


def load_hidden(*names, **options):
    """The digits, the classes of all but 237 training images hidden."""
    data = load_dataset(*names, **options)
    labels = data.train.labels.clone()
    labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:HIDDEN]] = -1
    return replace(data, train=relabelled(data.train, labels))


@pytest.fixture(autouse=True)
def hidden_labels(monkeypatch):
    monkeypatch.setattr("crcd.train.material.load_dataset", load_hidden)


@pytest.fixture(scope="module")
def settings(quick):
    crcd = RelationConfig(negatives=16, dim=8, gradient_weight=1.0)
    return quick(methods=("ce", "crcd+kd"), crcd=crcd, epochs=1, student_images=100, batch_size=128, lr=0.01)


class CrashError(Exception):
    pass


class Crash(Reporter):
    def step(self, images):
        raise CrashError


def test_unlabelled_images_are_beside_those_of_student_images(settings, tmp_path):
    summary = distill(replace(settings, out=tmp_path / "run")).summary
    assert summary["student_images"] == 100
    assert (summary["train_images"], summary["unlabelled_images"]) == (237, HIDDEN)
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert all(line["ce"] > 0 for line in lines)
    assert lines[1]["feature"] > 0
    assert lines[1]["gradient"] > 0


def test_methods_that_need_classes_say_so(settings, tmp_path):
    told = f"method 'dkd' needs the class of each image, and {HIDDEN} training images are unlabelled: give --pseudo"
    with pytest.raises(CrcdError, match=told):
        distill(replace(settings, methods=("ce", "dkd"), out=tmp_path / "run"))


def test_pseudo_labels_are_the_teachers_and_stay_its_own(settings, tmp_path):
    config = replace(settings, methods=("ce", "dkd"), pseudo_labels=True, out=tmp_path / "whole")
    whole = distill(config)
    classes = json.loads((tmp_path / "whole/pseudo-labels.json").read_text())
    assert len(classes) == HIDDEN
    assert set(classes) <= set(range(10))
    assert whole.summary["student_images"] == 100
    cut = replace(config, out=tmp_path / "cut")
    with pytest.raises(CrashError):
        distill(cut, Crash())
    again = distill(replace(cut, resume=cut.out)).summary
    assert again["learners"]["dkd"]["top1"] == whole.summary["learners"]["dkd"]["top1"]
    assert again["learners"]["dkd"]["loss"] == whole.summary["learners"]["dkd"]["loss"]
    (tmp_path / "cut/pseudo-labels.json").write_text("[1, 2]")
    with pytest.raises(CrcdError, match=r"pseudo-labels\.json is of 2 images, but 1200 are unlabelled"):
        distill(replace(cut, resume=cut.out))
    (tmp_path / "cut/pseudo-labels.json").write_text("[1, 2")
    with pytest.raises(CrcdError, match=r"pseudo-labels\.json is damaged"):
        distill(replace(cut, resume=cut.out))


def run_hidden(config):
    material.load_dataset = load_hidden
    return distill(config).summary


def test_pseudo_labels_of_several_processes_are_the_first_ones(settings, tmp_path):
    config = replace(settings, methods=("ce", "dkd"), pseudo_labels=True, out=tmp_path / "run")
    first, second = together(2, run_hidden, config)
    assert first["student_images"] == second["student_images"] == 100
    for learner in ("ce", "dkd"):
        assert first["learners"][learner]["top1"] == second["learners"][learner]["top1"]
    assert len(json.loads((tmp_path / "run/pseudo-labels.json").read_text())) == HIDDEN


def test_pseudo_labels_for_nothing(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("crcd.train.material.load_dataset", load_dataset)
    with pytest.raises(CrcdError, match="--pseudo-labels is True: every training image has a label"):
        distill(replace(settings, pseudo_labels=True, out=tmp_path / "run"))


def test_a_classifier_is_trained_on_labelled_images_alone(tmp_path):
    config = TrainConfig(model="resnet8", image_size=8, batch_size=100, epochs=1, device="cpu", out=tmp_path / "run")
    train(config)
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert json.loads((tmp_path / "run/summary.json").read_text())["train_images"] == 237
    assert json.loads(lines[0])["ce"] > 0
