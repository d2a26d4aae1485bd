"""Scores settings of ``crcd distill`` on held-out training images, paired over seeds: one line a run.

python results/tune.py results/digits-tuning.jsonl --seeds 0 1 2 --settings recipe "crcd.temperature=0.2 crcd.dim=64"

Each seed trains its teacher once, on the training images that are not held out, with kd beside it; every setting then
runs ``crcd`` with that teacher. Runs that the ledger already has are skipped. The test images are never scored.
"""

import argparse
import json
import shlex
import tempfile
from pathlib import Path
from statistics import mean, stdev

from crcd.cli import main as crcd

HOLDOUT = ("--holdout", "0.25")


def run(folder: Path, *words: str) -> dict[str, float]:
    """Last-epoch accuracy of every learner of one command."""
    status = crcd(["distill", *HOLDOUT, "--device", "cpu", "--out", str(folder), *words])
    if status != 0:
        raise SystemExit(f"crcd distill {shlex.join(words)} ended with status {status}")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {name: learner["top1"] for name, learner in summary["learners"].items()}


def flags(changes: str) -> list[str]:
    """``a=1 b=2`` as words of the command line."""
    return [word for change in changes.split() if change != "recipe" for word in f"--{change}".split("=", 1)]


def main() -> None:
    """Run what is missing, then print mean gains over kd, best first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--common", default="", help="changes for every run, the teacher's and kd's too")
    parser.add_argument("--teachers", type=Path, help="keep the teachers' runs here, to use them again")
    parser.add_argument("--settings", nargs="*", default=[], help='changes for crcd, flag=value ...; "recipe" for none')
    arguments = parser.parse_args()
    ledger: Path = arguments.ledger
    lines = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.is_file() else []
    done = {(line["common"], line["setting"], line["seed"]) for line in lines}
    with tempfile.TemporaryDirectory() as scratch:
        teachers = arguments.teachers or Path(scratch)
        for seed in arguments.seeds:
            common = [*flags(arguments.common), "--seed", str(seed)]
            for setting in ["kd", *arguments.settings]:
                if (arguments.common, setting, seed) in done:
                    continue
                teacher = teachers / f"{'_'.join(common)}".replace("/", "_")
                weights = teacher / "teacher.safetensors"
                if setting == "kd":
                    top1 = run(teacher, *common, "--methods", "ce", "kd")
                else:
                    words = [*common, "--teacher-weights", str(weights), "--methods", "crcd", *flags(setting)]
                    top1 = run(Path(scratch) / f"{len(lines)}", *words)
                line = {"common": arguments.common, "setting": setting, "seed": seed, "top1": top1}
                lines.append(line)
                with ledger.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
    kd = {(line["common"], line["seed"]): line["top1"]["kd"] for line in lines if line["setting"] == "kd"}
    gains: dict[tuple[str, str], list[float]] = {}
    for line in lines:
        if line["setting"] != "kd":
            gain = line["top1"]["crcd"] - kd[line["common"], line["seed"]]
            gains.setdefault((line["common"], line["setting"]), []).append(gain)
    for (shared, setting), values in sorted(gains.items(), key=lambda item: -mean(item[1])):
        spread = stdev(values) if len(values) > 1 else float("nan")
        print(f"{mean(values):+6.2f} ± {spread:5.2f}  n={len(values)}  {shared} {setting}")


if __name__ == "__main__":
    main()
