"""Runs that go on, and runs that can't."""

import json
import shutil

import torch


def test_resuming_without_checkpoint_begins_again(crcd, tmp_path, weights, quick):
    run = tmp_path / "run"
    crcd("distill", *quick, "--teacher-weights", weights, "--out", run)
    (run / "checkpoint.pt").unlink()
    before = json.loads((run / "summary.json").read_text())
    answer = crcd("distill", "--resume", run, "--no-report")
    assert answer.status == 0, answer.err
    after = json.loads((run / "summary.json").read_text())
    assert after["learners"]["kd"]["top1"] == before["learners"]["kd"]["top1"]


def test_resuming_what_another_version_left(complaint, crcd, tmp_path, weights, quick):
    run = tmp_path / "run"
    crcd("distill", *quick, "--teacher-weights", weights, "--out", run)
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    del state["learners"]["kd"]["student"]["classifier.bias"]
    torch.save(state, run / "checkpoint.pt")
    error = complaint("distill", "--resume", run, "--no-report")
    assert "its state of learner 'kd' is of another version of crcd: go on with that version, or begin anew" in error


def test_resuming_with_other_images(complaint, crcd, photographs, tmp_path, folder_words):
    run = tmp_path / "run"
    assert crcd(*folder_words(photographs), "--out", run, "--time-budget", "0.001s").status != 2
    shutil.copy(photographs / "train" / "cat" / "0.png", photographs / "train" / "cat" / "new.png")
    assert "was made with other training images (8 of them, now 9" in complaint("distill", "--resume", run)


def test_flags_beside_resume(complaint, tmp_path):
    error = complaint("distill", "--resume", tmp_path, "--epochs", "3", "--device", "cpu")
    assert "give only --time-budget, --device, --workers and --no-report, not --epochs 3" in error
    error = complaint("train", "--resume", tmp_path, "--epochs", "3", "--no-report")
    assert "give only --time-budget, --device and --workers, not --epochs 3 --no-report" in error


def test_resuming_the_run_of_another_command(complaint, crcd, tmp_path, weights, quick):
    run = tmp_path / "run"
    crcd("distill", *quick, "--teacher-weights", weights, "--out", run)
    assert "resume it with the command that began it" in complaint("train", "--resume", run)
