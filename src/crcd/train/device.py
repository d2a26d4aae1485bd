"""Where a run computes."""

import re

import torch

from crcd import distributed
from crcd.errors import CrcdError

NUMBER = re.compile("[0-9]{0,9}")
"""Of a GPU; none is the first."""


def find_device(name: str) -> torch.device:
    """The device of a name: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Of several processes on a machine each takes the GPU of its number there. It becomes the current one, and each
    convolution is made to take its quickest algorithm: all batches of a run have one shape.

    Raises:
        CrcdError: the name is none of these, this machine has no such GPU, or several processes were given one.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if count else "cpu"
    kind, _, number = name.partition(":")
    if name != "cpu" and (kind != "cuda" or not NUMBER.fullmatch(number)):
        raise CrcdError(f"--device is {name}: give auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(number or 0) >= count:
        raise CrcdError(f"--device is {name}: PyTorch finds {count} CUDA devices here; give cpu or auto")
    if kind == "cuda" and distributed.size() > 1:
        if number:
            raise CrcdError(
                f"--device is {name}, for {distributed.size()} processes: give cuda, and each takes its own"
            )
        number = str(distributed.local_rank())
        if int(number) >= count:
            raise CrcdError(f"process {int(number) + 1} of this machine has no GPU, there are {count}: start {count}")
    torch.backends.cudnn.benchmark = kind == "cuda"
    if kind == "cuda":
        torch.cuda.set_device(int(number or 0))
    return torch.device(f"cuda:{number or 0}" if kind == "cuda" else "cpu")


def describe(device: torch.device) -> str:
    """The device in words, such as ``cpu (2 threads)``, and how many processes have one each."""
    each = f", {distributed.size()} processes" if distributed.size() > 1 else ""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)}){each}"
    threads = torch.get_num_threads()
    return f"cpu ({threads} thread{'s' if threads > 1 else ''}){each}"
