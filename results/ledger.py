"""The ledger of measured runs: adds finished run folders to it, and makes the table of the README of it.

python results/ledger.py add results/digits.jsonl runs/seed0 runs/seed1 ...
python results/ledger.py table results/digits.jsonl
"""

import argparse
import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml
from scipy import stats


def entry(run: Path) -> dict[str, Any]:
    """One run: its settings, its summary, and the accuracy of every epoch of every learner."""
    top1: dict[str, list[float]] = {}
    for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        top1.setdefault(record["learner"], []).append(record["top1"])
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    for name in ("out", "resume", "time_budget", "data_dir", "teacher_weights"):
        config.pop(name, None)
    return {**summary, "top1_by_epoch": top1, "config": config}


def table(lines: list[dict[str, Any]]) -> str:
    """Last-epoch accuracy: mean and standard deviation over the runs, the paired gain over kd and its t interval."""
    rows = [
        f"| {len(lines)} seeds, last epoch | top-1 % | paired difference to kd | its 95 % interval |",
        "|---|---|---|---|",
    ]
    baseline = [line["learners"]["kd"]["top1"] for line in lines]
    teacher = [line["teacher"]["top1"] for line in lines]
    rows.append(f"| teacher ({lines[0]['teacher']['model']}) | {mean(teacher):.2f} ± {stdev(teacher):.2f} | | |")
    for name, learner in lines[0]["learners"].items():
        top1 = [line["learners"][name]["top1"] for line in lines]
        gain = [a - b for a, b in zip(top1, baseline, strict=True)]
        half = stats.t.ppf(0.975, len(gain) - 1) * stdev(gain) / len(gain) ** 0.5
        interval = f"{mean(gain) - half:+.2f} to {mean(gain) + half:+.2f}"
        difference = "|" if name == "kd" else f"{mean(gain):+.2f} ± {stdev(gain):.2f} | {interval}"
        rows.append(f"| {name} ({learner['model']}) | {mean(top1):.2f} ± {stdev(top1):.2f} | {difference} |")
    return "\n".join(rows)


def read(ledger: Path) -> list[dict[str, Any]]:
    """All entries of a ledger."""
    return [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Add runs, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["add", "table"])
    parser.add_argument("ledger", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    arguments = parser.parse_args()
    if arguments.action == "add":
        with arguments.ledger.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(entry(run)) + "\n" for run in arguments.runs)
    else:
        print(table(read(arguments.ledger)))


if __name__ == "__main__":
    main()
