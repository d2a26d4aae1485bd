import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_tiny_epochs_are_measured_and_written(tmp_path):
    command = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "epoch.py")]
    flags = ["--sizes", "tiny", "--device", "cpu", "--threads", "1", "--data-dir", str(tmp_path / "absent")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    out = tmp_path / "epoch.json"
    done = subprocess.run([*command, *flags, "--out", str(out)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    loaders = {(entry["data"], entry["loader"]) for entry in result["loaders"]}
    assert {name for data, name in loaders if "random pixels" in data} == {
        "ours",
        "torchvision, 0 workers",
        "torchvision, 2 workers",
    }
    assert len(loaders) == 3 + 4
    live_over_cached = {entry["step"]: entry["live_over_cached"] for entry in result["training"]}
    assert {step for step, ratio in live_over_cached.items() if ratio is not None} == {
        "kd, cached teacher",
        "crcd, cached teacher",
    }
    assert all(entry["ms"]["min"] > 0 for entry in result["loaders"] + result["training"])
    assert all(name in done.stdout for name in live_over_cached)
