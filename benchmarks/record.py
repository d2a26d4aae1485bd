"""The file and the table that a run leaves."""

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


def machine(threads: int, device: torch.device) -> dict[str, Any]:
    """What the numbers of a run depend on."""

    def git(*arguments: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True).stdout.strip()

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    result = {
        "device": device.type,
        "cpu": models[0] if models else platform.machine(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": git("rev-parse", "HEAD"),
        "source_changed": bool(git("status", "--porcelain", "--", "../src", ".")),
    }
    if device.type == "cuda":
        result |= {"gpu": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    return result


class Record:
    """What a run writes to ``--out``: its benchmark and machine, and whatever it adds to ``body``."""

    def __init__(self, benchmark: str, args: argparse.Namespace, device: torch.device, **body: Any) -> None:
        self.out: Path | None = args.out
        self.body: dict[str, Any] = {
            "benchmark": benchmark,
            "machine": machine(args.threads, device),
            "load_average_before": os.getloadavg(),
            **body,
        }

    def save(self) -> None:
        """Write it, or write it anew, so that a run which is cut off leaves what it has."""
        if self.out is not None:
            self.body["load_average_after"] = os.getloadavg()
            self.out.write_text(json.dumps(self.body, indent=1) + "\n", encoding="utf-8")


def print_row(cells: Sequence[object], widths: Sequence[int]) -> None:
    """One line of a table: text to the left, numbers of three digits to the right, - for None."""
    shown = []
    for cell, width in zip(cells, widths, strict=True):
        if isinstance(cell, str):
            shown.append(f"{cell:<{width}}")
        elif isinstance(cell, float):
            digits = f"{cell:.0f}" if cell >= 100 else f"{cell:.3g}"
            shown.append(f"{digits:>{width}}")
        else:
            shown.append(f"{'-' if cell is None else cell!s:>{width}}")
    print("  ".join(shown).rstrip(), flush=True)
