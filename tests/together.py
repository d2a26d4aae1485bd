"""Work done by several processes at once, over gloo."""

import multiprocessing
import os
import tempfile
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["torch", "torchvision", "timm", "crcd.train.distill"])


def together(size: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What ``work(*arguments)`` gives in each of so many processes, in their order; a module's function, as pickled.

    A single process is one of its own, too, without a group.
    """
    with tempfile.TemporaryDirectory() as folder:
        processes = [CONTEXT.Process(target=_run, args=(rank, size, folder, work, arguments)) for rank in range(size)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(200)
            process.kill()
        failures = [path.read_text() for path in sorted(Path(folder).glob("*.txt"))]
        assert not failures, "\n".join(failures)
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(size)]


def _run(rank: int, size: int, folder: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    try:
        if size > 1:
            meeting = f"file://{folder}/meeting"
            seconds = timedelta(seconds=120)
            dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size, timeout=seconds)
        torch.save(work(*arguments), os.path.join(folder, f"{rank}.pt"))
        if size > 1:
            dist.barrier()
            dist.destroy_process_group()
    except BaseException:
        Path(folder, f"{rank}.txt").write_text(traceback.format_exc())
        raise
