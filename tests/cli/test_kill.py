"""A run killed in the middle of an epoch goes on to the same numbers and weights."""

import json
import signal

import pytest
import torch
from safetensors.torch import load_file

from processes import until

pytestmark = pytest.mark.slow

SETTINGS = (
    *("--device", "cpu", "--image-size", "8", "--student-images", "400", "--batch-size", "16", "--epochs", "3"),
    *("--teacher", "resnet8", "--weak-teacher", "--no-report"),
    *("--methods", "ce", "kd", "crcd", "--crcd.negatives", "32"),
)


def results(run):
    summary = json.loads((run / "summary.json").read_text())
    for entry in (summary, summary["teacher"], summary["teacher"].get("cache", {}), *summary["learners"].values()):
        for name in ("seconds", "step_seconds"):
            entry.pop(name, None)
    summary.pop("commit")
    weights = {path.name: load_file(path) for path in run.glob("*.safetensors")}
    return summary, {
        file: {name: bytes(tensor.numpy()) for name, tensor in state.items()} for file, state in weights.items()
    }


def in_the_middle_of_an_epoch(run):
    path = run / "checkpoint.pt"
    if not path.exists():
        return False
    state = torch.load(path, weights_only=True)
    return state["epoch"] >= 1 and 0 < state["step"] < 25


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, weights, start, finish):
    run = tmp_path_factory.mktemp("whole")
    answer = finish(start("distill", *SETTINGS, "--teacher-weights", weights, "--out", run))
    assert answer.status == 0, answer.err
    return results(run)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, weights, uninterrupted, start, finish, number, status):
    run = tmp_path / "run"
    words = ["distill", *SETTINGS, "--teacher-weights", weights, "--out", run, "--checkpoint-seconds", "0.05"]
    process = start(*words)
    until(lambda: in_the_middle_of_an_epoch(run), process)
    process.send_signal(number)
    answer = finish(process)
    assert answer.status == status
    assert not (run / "summary.json").exists()
    if number != signal.SIGKILL:
        assert f"stopped by {number.name} in epoch" in answer.err
        assert answer.err.endswith(f"continue with: crcd distill --resume {run}\n")
    answer = finish(start("distill", "--resume", run, "--no-report"))
    assert answer.status == 0, answer.err
    assert results(run) == uninterrupted


def test_a_run_interrupted_while_the_teacher_is_asked_goes_on_to_the_same_bits(tmp_path, weights, start, finish):
    """Many views, so that the signal meets the filling."""
    cached = ("--device", "cpu", "--image-size", "8", "--batch-size", "16", "--epochs", "1", "--methods", "kd")
    teacher = ("--teacher", "resnet8", "--teacher-weights", weights, "--weak-teacher", "--teacher-views", "30")
    words = ("distill", *cached, *teacher, "--no-report")
    shared = ("--teacher-cache", tmp_path / "cache")
    process = start(*words, "--out", tmp_path / "run", *shared)
    until(lambda: any((tmp_path / "cache").glob("*-view002.safetensors")), process)
    process.send_signal(signal.SIGINT)
    answer = finish(process)
    assert answer.status == 130
    assert "asking the teacher: 30 views of 250 images\n" in answer.out
    assert "stopped by SIGINT in view" in answer.err
    assert answer.err.endswith(f"of the teacher; continue with: crcd distill --resume {tmp_path / 'run'}\n")
    answer = finish(start("distill", "--resume", tmp_path / "run", "--no-report"))
    assert answer.status == 0, answer.err
    assert "asking the teacher: 30 views of 250 images, going on after " in answer.out
    answer = finish(start(*words, "--out", tmp_path / "whole"))
    assert answer.status == 0, answer.err
    assert results(tmp_path / "run") == results(tmp_path / "whole")
