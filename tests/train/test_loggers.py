import json
import logging
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from crcd import distributed
from crcd.compare.cell import Cell
from crcd.config_file import fingerprint
from crcd.errors import CrcdError
from crcd.train.distill import distill
from crcd.train.loggers import Loggers, check_installed, curves
from crcd.train.reporter import Reporter


class StopAfter(Reporter):
    """Ends the run, as Ctrl-C does, after an epoch."""

    def __init__(self, epochs):
        self.left = epochs

    def step(self, images):
        if self.left == 0:
            raise KeyboardInterrupt

    def epoch(self, records):
        self.left -= 1


class Service:
    """Stands for the module wandb or trackio: keeps what it is told."""

    def __init__(self):
        self.begun = []
        self.lines = []
        self.finished = 0

    def init(self, **settings):
        self.begun.append(settings)
        return SimpleNamespace(log=self._log, finish=self._finish)

    def _log(self, values, step):
        self.lines.append((step, values))

    def _finish(self):
        self.finished += 1


class DownError(Exception):
    pass


def lines_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def shown(folder):
    """Every scalar of TensorBoard's files below a folder: by curve and name, values by step."""
    curves = {}
    for curve in sorted(folder.iterdir()):
        events = EventAccumulator(str(curve)).Reload()
        for tag in events.Tags()["scalars"]:
            curves[curve.name, tag] = [(event.step, event.value) for event in events.Scalars(tag)]
    return curves


def test_tensorboard_shows_each_number_of_the_metrics_once_over_two_sittings(quick, tmp_path):
    methods = ("ce", "kd@kd.weight=1.0")
    config = quick(methods=methods, epochs=3, log=("tensorboard",), out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        distill(config, StopAfter(2))
    run = distill(replace(config, resume=config.out)).folder
    curves = shown(run / "tensorboard")
    assert {curve for curve, _ in curves} == set(methods)
    for learner in methods:
        own = [line for line in lines_of(run) if line["learner"] == learner]
        assert len(own) == 3
        for name in own[0].keys() - {"epoch", "learner"}:
            expected = [(line["epoch"], pytest.approx(line[name], rel=1e-6)) for line in own]
            assert curves[learner, name] == expected
    assert len(curves) == sum(len(line) - 2 for line in lines_of(run)[:2])


def test_a_tracker_is_begun_once_and_gone_on_with(quick, tmp_path, monkeypatch):
    service = Service()
    monkeypatch.setitem(sys.modules, "wandb", service)
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    config = quick(methods=("ce", "kd"), epochs=3, log=("wandb",), out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        distill(config, StopAfter(1))
    run = distill(replace(config, resume=config.out)).folder
    lines = lines_of(run)
    assert [step for step, _ in service.lines] == [1, 2, 3]
    for step, values in service.lines:
        assert values == curves([line for line in lines if line["epoch"] == step])
    first, second = service.begun
    assert first["id"] == second["id"]
    assert (first["project"], first["resume"], first["dir"]) == ("mine", "allow", str(run))
    assert first["name"] == f"{tmp_path.name}/run"
    assert first["config"]["methods"] == ["ce", "kd"]
    assert service.finished == 2


def test_two_runs_are_two_of_the_tracker(quick, tmp_path, monkeypatch):
    service = Service()
    monkeypatch.setitem(sys.modules, "trackio", service)
    for number in range(2):
        distill(quick(methods=("ce",), epochs=1, log=("trackio",), out=tmp_path / str(number) / "run"))
    assert len({begun["name"] for begun in service.begun}) == 2


def test_the_teachers_training_has_a_log_of_its_own(quick, tmp_path):
    run = tmp_path / "run"
    config = quick(methods=("ce",), teacher_weights=None, teacher_epochs=1, epochs=1, log=("tensorboard",), out=run)
    distill(config)
    teacher = lines_of(run / "teacher")
    assert shown(run / "teacher" / "tensorboard")["ce", "loss"] == [(1, pytest.approx(teacher[0]["loss"], rel=1e-6))]
    assert shown(run / "tensorboard")["ce", "loss"] == [(1, pytest.approx(lines_of(run)[0]["loss"], rel=1e-6))]


@pytest.mark.parametrize("when", ["init", "log", "finish"])
def test_a_logger_that_fails_warns_once_and_the_run_goes_on(quick, tmp_path, monkeypatch, caplog, when):
    def fail(*_, **__):
        raise DownError("no\nnetwork")

    run = SimpleNamespace(log=lambda *_, **__: None, finish=lambda: None)
    service = SimpleNamespace(init=lambda **_: run)
    setattr(service if when == "init" else run, when, fail)
    monkeypatch.setitem(sys.modules, "wandb", service)
    with caplog.at_level(logging.WARNING):
        outcome = distill(quick(methods=("ce",), epochs=3, log=("wandb", "tensorboard"), out=tmp_path / "run"))
    assert [record.getMessage() for record in caplog.records] == [
        "--log wandb failed (no network): the run goes on without it"
    ]
    assert len(shown(outcome.folder / "tensorboard")["ce", "top1"]) == 3


def test_only_the_first_process_logs(tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    loggers = Loggers(("tensorboard",), tmp_path, {}, "abc")
    loggers.scalars(1, {"loss/ce": 1.0})
    loggers.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_a_missing_package_is_named_before_anything_is_done(quick, tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(CrcdError, match=rf'--log {name} needs the package {name}: pip install "crcd\[{name}\]"'):
        distill(quick(log=(name,), out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_installed_packages_are_no_complaint():
    check_installed(("tensorboard", "trackio"))


def test_it_makes_no_other_run_and_no_other_cell(quick):
    plain, logged = quick(), quick(log=("tensorboard",))
    assert fingerprint(plain) == fingerprint(logged)
    assert Cell.of(plain, "kd", None) == Cell.of(logged, "kd", None)


TRACKIO = """
from pathlib import Path
from crcd.train.loggers import Loggers

for steps in ((1, 2), (3,)):
    loggers = Loggers(("trackio",), Path("runs/mine"), {"epochs": 3}, "abc")
    for step in steps:
        loggers.scalars(step, {"loss/kd": 0.5 * step})
    loggers.close()

from trackio.sqlite_storage import SQLiteStorage
(name,) = SQLiteStorage.get_runs("crcd")
print([(line["step"], line["loss/kd"]) for line in SQLiteStorage.get_logs("crcd", name)], name)
"""


def test_trackio_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    command = [sys.executable, "-W", "error", "-c", TRACKIO]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    assert "[(1, 0.5), (2, 1.0), (3, 1.5)] runs/mine-abc\n" in answer.stdout
    assert "failed" not in answer.stderr
