import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from crcd.errors import CrcdError
from crcd.models import create_model, save_weights
from crcd.relation.gradient import feature_gradient
from crcd.report.networks import BEFORE, TEACHER, Place, read_networks
from crcd.report.runs import find_runs
from crcd.report.subject import subjects
from crcd.train.distill import distill
from crcd.train.reporter import Reporter


class Watching(Reporter):
    """Keeps the weights with which learners begin."""

    def begin(self, title, learners, epochs, steps, done):
        self.weights = {
            learner.name: {name: tensor.clone() for name, tensor in learner.viewer.model.state_dict().items()}
            for learner in learners
        }


def test_accuracies_are_those_of_the_run(source):
    readings, run = source.readings, source.subject.first
    assert list(readings.networks) == [TEACHER, BEFORE, "ce", "kd", "crcd+kd"]
    for name in source.subject.learners:
        assert 100 * readings.right(name).double().mean().item() == pytest.approx(run.learners[name]["top1"])
    assert 100 * readings.right(TEACHER).double().mean().item() == pytest.approx(run.teacher["top1"])


def test_feature_gradients_are_of_the_true_classes(source):
    reading, labels = source.readings.networks["kd"], source.readings.labels
    weight = load_file(source.subject.first.folder.weights("kd"))["classifier.weight"]
    torch.testing.assert_close(reading.gradient_ND, feature_gradient(reading.logits_NC, labels, weight))


@pytest.mark.parametrize("pretrained", [False, True])
def test_the_student_before_is_the_one_with_which_training_began(settings, tmp_path, pretrained):
    watching = Watching()
    weights = settings.teacher_weights if pretrained else None
    distill(replace(settings, student_weights=weights, seed=5, epochs=1, out=tmp_path / "run"), watching)
    (subject,) = subjects(find_runs([tmp_path / "run"]), None)
    before = read_networks(subject, Place("cpu"), lambda loader, _: loader.epoch(0)).networks[BEFORE]
    for began in watching.weights.values():
        own = before.viewer.model.state_dict()
        assert own.keys() == began.keys()
        assert all(torch.equal(own[name], began[name]) for name in own)
    if not pretrained:
        trained = load_file(subject.first.folder.weights("ce"))
        assert not torch.equal(trained["classifier.weight"], own["classifier.weight"])


def test_without_its_first_weights_only_the_student_before_is_missing(settings, tmp_path):
    weights = tmp_path / "first.safetensors"
    weights.write_bytes(settings.teacher_weights.read_bytes())
    distill(replace(settings, student_weights=weights, epochs=1, out=tmp_path / "run"))
    weights.unlink()
    (subject,) = subjects(find_runs([tmp_path / "run"]), None)
    readings = read_networks(subject, Place("cpu"), lambda loader, _: loader.epoch(0))
    assert list(readings.networks) == [TEACHER, "ce", "kd", "crcd+kd"]


def test_code_is_not_run_on_a_folders_word(runs):
    (subject,) = subjects(find_runs(runs[:1]), None)
    run = subject.first
    other = replace(run, config=replace(run.config, student="crcd.models:create_model"))
    foreign = replace(subject, runs={name: {subject.shown: other} for name in subject.runs})
    with pytest.raises(CrcdError, match="code that is not run"):
        read_networks(foreign, Place("cpu"), lambda loader, _: loader.epoch(0))


def test_another_teacher_than_the_runs_is_not_taken_for_it(runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs[0], folder)
    save_weights(create_model("resnet8", 10, 1).state_dict(), folder / "teacher.safetensors", {"model": "resnet8"})
    (subject,) = subjects(find_runs([folder]), None)
    with pytest.raises(CrcdError, match="the weights of its teacher are gone, or others"):
        read_networks(subject, Place("cpu"), lambda loader, _: loader.epoch(0))
