"""What the benchmarks share: arguments, fair timing, peak memory, and the file that a run leaves.

A *step* is a function without arguments that does once what is measured; a *make* builds one, inputs included, and can
be sent to another process.
"""

import argparse
import contextlib
import ctypes
import gc
import json
import math
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch

from crcd.data import CropFlip, Images, Loader
from crcd.errors import CrcdError
from crcd.train.device import find_device

Step = Callable[[], object]
Make = Callable[[], Step]

MIN_SAMPLE_MS = 20.0
"""A step is repeated within a round until it has run this long, so that the clock's grain does not show."""
MAX_FOREIGN = 0.05
"""Share of the machine's processors that others may use in a round that counts."""


def parser(doc: str | None, repeats: int) -> argparse.ArgumentParser:
    """The arguments of every benchmark; ``repeats`` is the number of rounds of a full run."""
    result = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--quick", action="store_const", const="quick", dest="sizes", help="under a minute")
    result.add_argument("--sizes", choices=["tiny", "quick", "full"], help="full; tiny is for tests")
    result.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    result.add_argument("--threads", type=int, default=torch.get_num_threads(), help="processor threads of PyTorch")
    result.add_argument("--repeats", type=int, help=f"rounds; {repeats}, but 3 for quick and 2 for tiny sizes")
    result.add_argument("--out", type=Path, metavar="FILE.json", help="write sizes, machine and every round here")
    result.set_defaults(sizes="full", full_repeats=repeats)
    return result


def start(args: argparse.Namespace) -> torch.device:
    """Set threads and the number of rounds; the device."""
    for name in ("threads", "repeats"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise SystemExit(f"error: --{name} is {getattr(args, name)}: give 1 or more")
    if args.out is not None and (args.out.is_dir() or not args.out.parent.is_dir()):
        raise SystemExit(f"error: --out is {args.out}: name a file in a folder that exists")
    torch.set_num_threads(args.threads)
    args.repeats = args.repeats or {"tiny": 2, "quick": 3, "full": args.full_repeats}[args.sizes]
    try:
        device = find_device(args.device)
    except CrcdError as error:
        raise SystemExit(f"error: {error}") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def training_loader(images: Images, batch_size: int, device: torch.device) -> Loader:
    """Shuffled batches of cropped and flipped images."""
    mean, std = (0.5,) * 3, (0.25,) * 3
    return Loader(images, batch_size, augment=CropFlip(), mean=mean, std=std, device=device, seed=0, train=True)


@dataclass(frozen=True)
class Spread:
    """Median and extremes of repeated measurements."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Of all ``values``."""
        kept = list(values)
        return cls(statistics.median(kept), min(kept), max(kept))

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.min:.3g} to {self.max:.3g})"


@dataclass(frozen=True)
class Rounds:
    """Milliseconds of each step in each round, and the share of the processors that others used meanwhile.

    Rounds that others disturbed do not count, unless fewer than two are left.
    """

    ms: dict[str, list[float]]
    foreign: list[float]

    @property
    def counted(self) -> list[int]:
        """Numbers of the rounds that count."""
        calm = [i for i, share in enumerate(self.foreign) if share <= MAX_FOREIGN]
        return calm if len(calm) >= 2 else list(range(len(self.foreign)))

    @property
    def calm(self) -> bool:
        """Whether the rounds that count were undisturbed."""
        return max(self.foreign[i] for i in self.counted) <= MAX_FOREIGN

    def spread(self, name: str) -> Spread:
        """Milliseconds of a step."""
        return Spread.of(self.ms[name][i] for i in self.counted)

    def ratio(self, reference: str, name: str) -> Spread:
        """Time of ``reference`` over that of ``name``, both of the same round."""
        return Spread.of(self.ms[reference][i] / self.ms[name][i] for i in self.counted)

    def record(self, name: str) -> dict[str, Any]:
        """What is written of a step."""
        return {"ms": asdict(self.spread(name)), "calm": self.calm, "rounds_ms": self.ms[name]}


def interleave(steps: dict[str, Step], repeats: int, device: torch.device) -> Rounds:
    """Time steps in turn, so that a drift of the machine meets them all alike, until ``repeats`` rounds were calm.

    At most twice as many rounds are run. On CUDA the time is that between two events.
    """
    clock = _cuda_ms if device.type == "cuda" else _cpu_ms
    calls = {}
    for name, step in steps.items():
        clock(step, 1)
        calls[name] = max(1, math.ceil(MIN_SAMPLE_MS / max(clock(step, 1), 1e-3)))
    rounds = Rounds({name: [] for name in steps}, [])
    while len(rounds.foreign) < 2 * repeats and sum(share <= MAX_FOREIGN for share in rounds.foreign) < repeats:
        before = _Usage.now()
        for name, step in steps.items():
            rounds.ms[name].append(clock(step, calls[name]))
        rounds.foreign.append(_Usage.now().foreign_since(before))
    return rounds


def _cpu_ms(step: Step, calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        step()
    return (time.perf_counter() - begin) * 1e3 / calls


def _cuda_ms(step: Step, calls: int) -> float:
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    begin.record()
    for _ in range(calls):
        step()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / calls


@dataclass(frozen=True)
class _Usage:
    """Processor seconds since the machine started: of all programs, idle ones included, and of this process.

    The living children of the process, workers that load data, count as it.
    """

    busy: float
    total: float
    own: float

    @classmethod
    def now(cls) -> Self:
        """Of this moment; zeros where the system does not tell."""
        stat = Path("/proc/stat")
        if not stat.exists():
            return cls(0.0, 0.0, 0.0)
        ticks = [int(word) for word in stat.read_text().split("\n", 1)[0].split()[1:9]]
        tick = 1 / os.sysconf("SC_CLK_TCK")
        user, nice, system, idle, waiting, *interrupted_or_stolen = (n * tick for n in ticks)
        busy = user + nice + system + sum(interrupted_or_stolen)
        own = []
        for child in multiprocessing.active_children():
            with contextlib.suppress(FileNotFoundError):  # it ended just now
                words = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
                own.append(sum(map(int, words[11:13])) * tick)
        return cls(busy, busy + idle + waiting, time.process_time() + sum(own))

    def foreign_since(self, before: "_Usage") -> float:
        """Share of the processors that other programs (or other machines on the same host) have used."""
        foreign = (self.busy - before.busy) - (self.own - before.own)
        return max(0.0, foreign) / max(self.total - before.total, 1e-9)


def peak_mib(make: Make, warm: Make, device: torch.device) -> float | None:
    """MiB by which one step raises the memory in use over its inputs; None where there is not enough, or none is told.

    CUDA: ``max_memory_allocated``. CPU, on Linux alone: resident memory of a fresh process, in which ``warm`` has
    loaded the libraries by a small step; memory that the allocator reuses counts once.
    """
    if device.type == "cuda":
        try:
            return _peak_of_gpu(make())
        except torch.cuda.OutOfMemoryError:
            return None
    if not sys.platform.startswith("linux"):
        return None
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([name for name in ("torch", "crcd", "crcd.train.step") if name in sys.modules])
    with ProcessPoolExecutor(1, context) as pool:
        try:
            return pool.submit(_peak_of_process, make, warm, torch.get_num_threads()).result()
        except (BrokenProcessPool, OSError):
            return None


def _peak_of_gpu(step: Step) -> float:
    step()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def _peak_of_process(make: Make, warm: Make, threads: int) -> float:
    torch.set_num_threads(threads)
    warm()()
    step = make()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what making the inputs has freed goes back to the system
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that from now on
    before = _status_mib("VmRSS")
    step()
    return max(0.0, _status_mib("VmHWM") - before)


def _status_mib(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


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
