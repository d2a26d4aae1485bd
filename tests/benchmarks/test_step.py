import subprocess
import sys

import pytest
import torch

from benchmark_runs import ROOT, measured


@pytest.mark.slow
def test_whole_steps_and_parts_are_written(tmp_path):
    result, shown = measured("step.py", tmp_path / "step.json", "--sizes", "tiny")
    steps = {case["step"]: case for case in result["steps"] if case["mode"] == "eager"}
    assert {"teacher + student + optimiser", "kd", "crcd, K = 64", "ce, kd, crcd side by side"} <= steps.keys()
    assert steps["teacher + student + optimiser"]["over_bare"] == 1
    assert all(case["ms"]["median"] > 0 for case in result["steps"])
    rounds = result["parts"]["rounds_ms"]
    assert {"batch", "teacher", "student", "loss", "optimiser"} == rounds[0].keys()
    assert 0 < result["parts"]["loss_share"] < 1
    assert "the loss takes" in shown


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a CUDA device")
def test_what_needs_a_gpu_says_so():
    command = [sys.executable, ROOT / "benchmarks" / "on_gpu.py", "measure"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: PyTorch finds no CUDA device here")
