"""Peak memory of a step."""

import ctypes
import gc
import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

from timing import Step

Make = Callable[[], Step]
"""Builds a step, inputs included; it can be sent to another process."""


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
    context.set_forkserver_preload([name for name in sys.modules if name == "torch" or name.startswith("crcd")])
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
