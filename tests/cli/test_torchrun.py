"""The command under torchrun: what several processes say, and what becomes of them when one is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.distributed.run import main as torchrun

from processes import until

pytestmark = pytest.mark.slow

SETTINGS = (
    *("--device", "cpu", "--image-size", "8", "--student-images", "200", "--batch-size", "8"),
    *("--weak-teacher", "--teacher", "resnet8", "--methods", "ce", "crcd", "--crcd.negatives", "32"),
)


@pytest.fixture
def start_together():
    """Starts a command in two processes, through torchrun."""

    def run(*words):
        return subprocess.Popen(
            [sys.executable, "-m", torchrun.__module__, "--nproc-per-node", "2", "-m", "crcd", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    return run


def told(err):
    """Lines of the command itself, not of torchrun, which reports each process that failed."""
    return [line for line in err.splitlines() if line.startswith("crcd: ")]


def process_of_rank(rank, parent):
    """Number of a process that torchrun started."""
    for folder in Path("/proc").iterdir():
        try:
            if f"RANK={rank}\0" not in f"\0{(folder / 'environ').read_text()}".replace("\0LOCAL_", "\0"):
                continue
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                return int(folder.name)
        except (OSError, ValueError):
            continue
    raise AssertionError(f"no process of rank {rank}")


def in_the_middle_of_an_epoch(run):
    path = run / "checkpoint.pt"
    return path.exists() and torch.load(path, weights_only=True)["step"] > 0


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_other_with_one_error_and_the_run_goes_on_alone(
    tmp_path, weights, start_together, start, finish, rank
):
    run = tmp_path / "run"
    words = ("distill", *SETTINGS, "--epochs", "2", "--teacher-weights", weights, "--out", run)
    words += ("--checkpoint-seconds", "0.05")
    process = start_together(*words)
    until(lambda: in_the_middle_of_an_epoch(run), process)
    os.kill(process_of_rank(rank, process.pid), signal.SIGKILL)
    answer = finish(process)
    assert answer.status == 1
    (line,) = told(answer.err)
    assert line.startswith("crcd: error: another process of the run was lost (")
    assert line.endswith(f"continue with: torchrun --nproc-per-node 2 -m crcd distill --resume {run}")
    assert not (run / "summary.json").exists()
    answer = finish(start("distill", "--resume", run, "--no-report"))
    assert answer.status == 0, answer.err
    assert "going on after step" in answer.out
    assert json.loads((run / "summary.json").read_text())["learners"]["crcd"]["epochs"] == 2


def test_an_interrupt_stops_all_and_the_run_goes_on_together(tmp_path, weights, start_together, finish):
    run = tmp_path / "run"
    words = ("distill", *SETTINGS, "--epochs", "3", "--teacher-weights", weights, "--out", run)
    process = start_together(*words, "--checkpoint-seconds", "0.05")  # most of the run is still to come
    until(lambda: (run / "checkpoint.pt").exists(), process)
    process.send_signal(signal.SIGINT)
    answer = finish(process)
    (line,) = told(answer.err)
    assert line.startswith("crcd: stopped by SIGINT in epoch"), answer.err
    answer = finish(start_together("distill", "--resume", run))
    assert answer.status == 0, answer.err
    assert answer.out.count("2 processes, 4 images a step each") == 1
    assert answer.out.count("all of it is in") == 1
    assert answer.out.count(f"the report is {run}/report.html") == 1
    assert "Not shown: networks" not in (run / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("given", [False, True])
def test_a_comparison(tmp_path, weights, start_together, start, finish, given):
    teacher = ("--teacher-weights", weights) if given else ("--teacher-epochs", "1")
    words = ("compare", "digits", *SETTINGS, "--epochs", "1", *teacher, "--seeds", "2", "--out", tmp_path / "out")
    answer = finish(start_together(*words))
    assert answer.status == 0, answer.err
    assert answer.out.count("2 of 2: digits") == answer.out.count("the tables are in") == 1
    lines = (tmp_path / "out" / "ledger.jsonl").read_text().splitlines()
    cells = [(entry["method"][:4], entry["seed"], entry["run"]["device"]) for entry in map(json.loads, lines)]
    two = "cpu (1 thread), 2 processes"
    assert sorted(cells) == [(method, seed, two) for method in ("ce", "crcd") for seed in (0, 1)]
    assert f"on {two}." in (tmp_path / "out" / "table.md").read_text()
    answer = finish(start(*words))
    assert answer.status == 0, answer.err
    assert "training" not in answer.out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("distill", "--batch-size", "7"), "batch size 7 can't be divided among 2 processes"),
        (("distill", "--lr", "high"), None),
        (("probe", "run"), "several processes were started, and crcd probe uses one: start one"),
    ],
)
def test_mistakes_are_told_once(tmp_path, start_together, finish, monkeypatch, words, error):
    monkeypatch.chdir(tmp_path)
    answer = finish(start_together(*words))
    assert answer.status == 1
    if error is None:
        assert answer.err.count("Error parsing --lr") == 1
    else:
        (line,) = told(answer.err)
        assert error in line
    assert list(tmp_path.iterdir()) == []
