"""Everything that needs a GPU, in two commands of at most ten minutes each. See README.md.

    python benchmarks/on_gpu.py measure --out results
    python benchmarks/on_gpu.py train --data-dir .data --out results

It runs from a checkout without installing the package. `measure` tests the kernels and the captured step, runs all
benchmarks and writes a profile of the captured step. `train` trains resnet56 on CIFAR-100 (unless weights are given)
and distils it into resnet20 for 240 epochs with K = 16384; when its time is up it stops, and the same command goes on.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHOWN = ("epoch", "learner", "loss", "top1", "step_seconds")
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


def train(args: argparse.Namespace) -> None:
    """The timed run. Its folder is resumed where it exists; the ledger line is that of results/ledger.py."""
    from crcd.recipes import with_recipe
    from crcd.relation.config import RelationConfig
    from crcd.train.config import DistillConfig
    from crcd.train.config_file import fill
    from crcd.train.distill import distill
    from crcd.train.reporter import Reporter
    from crcd.train.stop import RunStopped

    class Lines(Reporter):
        def epoch(self, records: object) -> None:
            for record in records:  # type: ignore[attr-defined]
                if record["epoch"] % 20 == 0:
                    print(json.dumps({name: record[name] for name in SHOWN}), flush=True)

    folder: Path = args.run
    settings = {
        "data_dir": str(args.data_dir),
        "out": str(folder),
        "methods": args.methods,
        "time_budget": f"{args.minutes}m",
        "precision": args.precision,
        "teacher_weights": None if args.teacher_weights is None else str(args.teacher_weights),
    }
    if (folder / "config.yaml").is_file():
        settings["resume"] = str(folder)
    config = fill(with_recipe(DistillConfig(crcd=RelationConfig(negatives=16384)), "cifar100"), settings, "on_gpu.py")
    began = time.monotonic()
    try:
        outcome = distill(config, Lines())
    except RunStopped as stopped:
        print(f"{stopped}\nafter {time.monotonic() - began:.0f} s: the same command of on_gpu.py goes on")
        return
    print(json.dumps(outcome.summary, indent=1))
    print(f"python results/ledger.py add {args.out / 'cifar100-cuda.jsonl'} {folder}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for work in (measure, profile, train):
        command = commands.add_parser(work.__name__, description=work.__doc__)
        command.set_defaults(work=work)
        command.add_argument("--out", type=Path, default=ROOT / "results", help="folder of the results")
        if work is not profile:
            command.add_argument("--minutes", type=int, default=9, help="stop after so long")
        if work is train:
            command.add_argument("--data-dir", type=Path, required=True, help="holds cifar-100-python")
            command.add_argument("--run", type=Path, default=ROOT / "runs" / "on-gpu", help="folder of the run")
            command.add_argument("--methods", nargs="+", default=["crcd+kd"])
            command.add_argument("--teacher-weights", type=Path, help="of a resnet56; trained first without")
            command.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    args = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("error: PyTorch finds no CUDA device here, and this is for one: see benchmarks/README.md")
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    from crcd.errors import CrcdError

    try:
        args.work(args)
    except CrcdError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
