import json
import os
import subprocess
import sys

import pytest

from benchmark_runs import ROOT, measured

ARGUMENTS = ("--sizes", "tiny", "--device", "cpu")


def check(result, processes):
    assert result["processes"] == processes
    names = [step["step"] for step in result["steps"]]
    assert names == ["ce", "kd", "crcd", "crcd, float16 bank", "crcd, float16 shards"]
    assert all(step["ms"]["min"] > 0 for step in result["steps"])


@pytest.mark.slow
def test_one_process_and_two(tmp_path):
    check(measured("processes.py", tmp_path / "1.json", *ARGUMENTS)[0], 1)
    script, out = ROOT / "benchmarks" / "processes.py", tmp_path / "2.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", script, *ARGUMENTS]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, "--threads", "1", "--out", out], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("images/s") == 1
    check(json.loads(out.read_text()), 2)
