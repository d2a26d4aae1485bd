"""Fair timing: steps in turn, in rounds that other programs did not disturb."""

import contextlib
import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch

Step = Callable[[], object]
"""Does once what is measured."""
MIN_SAMPLE_MS = 20.0
"""A step is repeated within a round until it has run this long, so that the clock's grain does not show."""
MAX_FOREIGN = 0.05
"""Share of the machine's processors that others may use in a round that counts."""


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
