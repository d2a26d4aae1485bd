"""Random streams that stay apart: what one learner draws changes nothing for another."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class RandomStream:
    """A state of PyTorch's global generators that code can be run under and that goes on where it left off.

    Args:
        seed: where the stream begins.
        device: the generators of the CPU and, where it is a GPU, of this device belong to the stream.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(self._devices):
            torch.manual_seed(seed)
            self._read()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Random numbers drawn inside come from this stream; the global state is as before afterwards."""
        with torch.random.fork_rng(self._devices):
            self._write()
            try:
                yield
            finally:
                self._read()

    def _read(self) -> None:
        self._cpu = torch.get_rng_state()
        self._cuda = [torch.cuda.get_rng_state(device) for device in self._devices]

    def _write(self) -> None:
        torch.set_rng_state(self._cpu)
        for device, state in zip(self._devices, self._cuda, strict=True):
            torch.cuda.set_rng_state(state, device)

    def state_dict(self) -> dict[str, Tensor | list[Tensor]]:
        """The position in the stream."""
        return {"cpu": self._cpu, "cuda": self._cuda}

    def load_state_dict(self, state: dict[str, Tensor | list[Tensor]]) -> None:
        """Go on from a stored position; one stored on a device of another type leaves the GPU's as it is."""
        self._cpu = torch.as_tensor(state["cpu"]).cpu()
        if len(state["cuda"]) == len(self._cuda):
            self._cuda = [torch.as_tensor(position).cpu() for position in state["cuda"]]
