"""Where a run computes."""

import torch

from crcd.errors import CrcdError


def find_device(name: str) -> torch.device:
    """The device of a name: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    A GPU becomes the current one, and each convolution is made to take its quickest algorithm: all batches of a run
    have one shape.

    Raises:
        CrcdError: the name is none of these, or this machine has no such GPU.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if count else "cpu"
    kind, _, number = name.partition(":")
    if name != "cpu" and (kind != "cuda" or not (number or "0").isdigit()):
        raise CrcdError(f"--device is {name}: give auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(number or 0) >= count:
        raise CrcdError(f"--device is {name}: PyTorch finds {count} CUDA devices here; give cpu or auto")
    torch.backends.cudnn.benchmark = kind == "cuda"
    if kind == "cuda":
        torch.cuda.set_device(int(number or 0))
    return torch.device(f"cuda:{number or 0}" if kind == "cuda" else "cpu")


def describe(device: torch.device) -> str:
    """The device in words, such as ``cpu (2 threads)``."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)"
