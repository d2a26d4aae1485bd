import json
from dataclasses import replace

import pytest

from crcd.methods.sp import SPConfig
from crcd.report import curves
from crcd.report.curves import curve_points, loss_parts, term_weights, weight_points
from crcd.report.runs import find_runs
from crcd.report.subject import subjects
from crcd.train.config import DistillConfig


def test_points_are_means_over_seeds(runs):
    (subject,) = subjects(find_runs(runs), None)
    found = {(point.learner, point.epoch, point.name): point for point in curve_points(subject)}
    lines = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in runs]
    for ours in zip(*lines, strict=True):
        for name in ("top1", "loss", "ce"):
            point = found[ours[0]["learner"], ours[0]["epoch"], name]
            values = [record[name] for record in ours]
            assert point.mean == pytest.approx(sum(values) / 2)
            assert (point.low, point.high) == (min(values), max(values))
    assert loss_parts(curve_points(subject)) == ["loss", "ce", "kd", "feature", "gradient"]
    assert ("crcd+kd", 3, "gradient_mi_bound") in found
    assert ("ce", 3, "seconds") not in found


def test_long_curves_are_thinned_to_their_ends(runs, monkeypatch):
    monkeypatch.setattr(curves, "MOST_EPOCHS", 2)
    (subject,) = subjects(find_runs(runs[:1]), None)
    assert {point.epoch for point in curve_points(subject)} == {1, 3}


def test_weights_of_terms():
    config = DistillConfig(epochs=10, distill_until=4)
    weights = {"cross-entropy": 1.0, "crcd.feature_weight": 1.0, "crcd.gradient_weight": 0.1, "kd.weight": 2.0}
    assert term_weights(config, "crcd+kd@kd.weight=2", 3) == weights
    after = {name: value * (name == "cross-entropy") for name, value in weights.items()}
    assert term_weights(config, "crcd+kd@kd.weight=2", 4) == after
    assert term_weights(config, "kd", 0) == {"cross-entropy": 0.1, "kd.weight": 0.9}
    assert term_weights(config, "ce", 0) == {"cross-entropy": 1.0}
    own = "crcd.methods.sp:SP"
    assert term_weights(config, own, 0) == {"cross-entropy": 1.0, f"{own}.weight": SPConfig().weight}


def test_terms_of_one_weight_are_one_curve(runs):
    (subject,) = subjects(find_runs(runs[:1]), None)
    names = {point.name for point in weight_points(subject) if point.learner == "crcd+kd"}
    assert names == {"cross-entropy, crcd.feature_weight", "crcd.gradient_weight", "kd.weight"}
    run = replace(subject.first, config=replace(subject.first.config, distill_until=1))
    own = replace(subject, runs={"kd": {subject.shown: run}})
    assert [p.mean for p in weight_points(own) if p.name == "kd.weight"] == [0.9, 0.0, 0.0]
