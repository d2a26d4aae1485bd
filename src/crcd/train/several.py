"""What a run does where several processes train as one."""

import torch

from crcd import distributed
from crcd.errors import CrcdError
from crcd.train.config import TrainOptions
from crcd.train.reporter import Reporter


def begin_together(config: TrainOptions, device: torch.device, reporter: Reporter) -> Reporter:
    """Say what each of several processes does.

    Returns:
        The reporter of the first process; for the others one that is silent.

    Raises:
        CrcdError: networks shall be compiled.
    """
    processes = distributed.size()
    if processes == 1:
        return reporter
    if config.compile:
        raise CrcdError(f"--compile is for a single process, and there are {processes}: leave it out")
    if distributed.rank() > 0:
        return Reporter()
    each = config.batch_size // processes
    eager = "; steps are not captured as CUDA graphs" if config.capture and device.type == "cuda" else ""
    reporter.note(f"{processes} processes, {each} images a step each{eager}")
    return reporter
