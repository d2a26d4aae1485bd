"""Runs a benchmark as its user does."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(script, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, ROOT / "benchmarks" / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def measured(script, out, *arguments):
    """What a run on the CPU writes, and what it prints."""
    done = run(script, "--threads", "1", "--out", out, *arguments)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert result["machine"]["device"] == "cpu"
    assert {"cpu", "threads", "torch", "python", "commit"} <= result["machine"].keys()
    return result, done.stdout
