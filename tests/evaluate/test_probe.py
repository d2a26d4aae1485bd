import math
from dataclasses import replace

import pytest
import torch

from crcd.data import load_dataset
from crcd.evaluate.feature_set import feature_sets
from crcd.evaluate.linear import SGD
from crcd.evaluate.pretrained import Pretrained
from crcd.evaluate.probe import ProbeOptions, probe
from crcd.models import ImageFormat, Viewer, create_model


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Of the digits, by a network that is not trained."""
    torch.manual_seed(0)
    viewer = Viewer(create_model("resnet8", 7, 1))
    network = Pretrained(
        tmp_path_factory.mktemp("run"), "ce", "resnet8", "other", ImageFormat(1, 8, (0.3,), (0.3,)), viewer
    )
    (found,) = feature_sets(
        [network], lambda size: load_dataset("digits", None, image_size=size), ProbeOptions(), torch.device("cpu")
    )
    return found


def test_what_a_probe_says(features):
    found = probe(features, ProbeOptions(probes=("linear", "knn")))
    assert found["images"] == {"channels": 1, "size": 8, "mean": (0.3,), "std": (0.3,), "interpolation": "bilinear"}
    assert (found["name"], found["trained_on"], found["feature_dim"]) == ("ce", "other", 64)
    assert "sgd" not in found
    assert found["linear"]["top1"] > 50  # ten classes
    assert found["knn"]["top1"] > 50
    assert found["knn"]["k"] == 200
    assert found["linear"]["seconds"] > 0


def test_sgd_that_diverges_is_said_to(features, monkeypatch):
    broken = replace(features, test=features.test._replace(feature_ND=features.test.feature_ND * math.inf))
    monkeypatch.setattr("crcd.evaluate.probe.fit_sgd", lambda *_: torch.nn.Linear(64, 10))
    found = probe(broken, ProbeOptions(probes=("sgd",)))["sgd"]
    assert found["top1"] is None
    assert (found["epochs"], found["milestones"]) == (SGD.epochs, (30, 60, 90))


def test_the_strength_is_chosen_on_held_out_images_alone(features):
    """Test labels that are turned round change the score, not the choice."""
    turned = replace(features, test=features.test._replace(labels_N=9 - features.test.labels_N))
    straight, other = (probe(each, ProbeOptions(probes=("linear",)))["linear"] for each in (features, turned))
    assert (straight["l2"], straight["held_out_top1"]) == (other["l2"], other["held_out_top1"])
    assert straight["top1"] > 50 > other["top1"]
