"""Everything that must be measured on a GPU, in one command of at most ten minutes. See README.md.

    python benchmarks/on_gpu.py measure --out results

It runs from a checkout without installing the package: tests of the kernels and the captured step, all benchmarks, and
a profile of the captured step.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "src"))


def measure(args: argparse.Namespace) -> None:
    """Tests first, then benchmarks; one that fails or takes too long does not stop the rest."""
    out: Path = args.out
    python, benchmarks = sys.executable, ROOT / "benchmarks"
    tests = [str(path) for path in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text()]
    stages = {
        "tests": ([python, "-m", "pytest", "-m", "gpu", "-rs", "-W", "default", *tests], 150),
        "step": ([python, str(benchmarks / "step.py"), "--out", str(out / "step-cuda.json")], 130),
        "loss": ([python, str(benchmarks / "loss.py"), "--out", str(out / "loss-cuda.json")], 90),
        "profile": ([python, __file__, "profile", "--out", str(out)], 40),
        "scale": ([python, str(benchmarks / "scale.py"), "--out", str(out / "scale-cuda.json")], 60),
        "epoch": ([python, str(benchmarks / "epoch.py"), "--quick", "--out", str(out / "epoch-cuda.json")], 60),
    }
    paths = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}
    deadline = time.monotonic() + args.minutes * 60
    outcomes = {}
    for name, (command, seconds) in stages.items():
        left = deadline - time.monotonic()
        if left < 10:
            outcomes[name] = "left out, no time"
            continue
        print(f"\n== {name}", flush=True)
        began = time.monotonic()
        try:
            status = subprocess.run(command, cwd=ROOT, env=environment, timeout=min(seconds, left)).returncode
            outcomes[name] = "done" if status == 0 else f"FAILED with status {status}"
        except subprocess.TimeoutExpired:
            outcomes[name] = "CUT OFF"
        outcomes[name] += f" in {time.monotonic() - began:.0f} s"
    print()
    for name, outcome in outcomes.items():
        print(f"{name:10} {outcome}")
    if not all(outcome.startswith("done") for outcome in outcomes.values()):
        raise SystemExit(1)


def profile(args: argparse.Namespace) -> None:
    """Where a captured and an eager step of CRCD at K = 16384 spend the GPU's time, by kernel."""
    import torch
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    from crcd.relation.config import RelationConfig
    from step import SIZES, Workbench

    bench = Workbench(torch.device("cuda:0"), SIZES["full"])
    for mode in ("eager", "captured"):
        step = bench.step([("crcd", RelationConfig(negatives=16384))], mode)
        with record(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
            for _ in range(20):
                step()
            torch.cuda.synchronize()
        table = profiler.key_averages().table(sort_by="self_cuda_time_total", row_limit=40, max_name_column_width=90)
        path = args.out / f"profile-{mode}.txt"
        path.write_text(f"20 steps of resnet56 -> resnet20, crcd, K = 16384, {mode}\n{table}\n")
        print(f"{path}\n{table[:6000]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for work in (measure, profile):
        command = commands.add_parser(work.__name__, description=work.__doc__)
        command.set_defaults(work=work)
        command.add_argument("--out", type=Path, default=ROOT / "results", help="folder of the results")
        if work is measure:
            command.add_argument("--minutes", type=int, default=9, help="stop after so long")
    args = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("error: PyTorch finds no CUDA device here, and this is for one: see benchmarks/README.md")
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    args.work(args)


if __name__ == "__main__":
    main()
