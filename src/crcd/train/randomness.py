"""Random streams that stay apart: what one learner draws changes nothing for another."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from crcd import distributed


class RandomStream:
    """Random numbers that code draws from PyTorch's global generators, going on where they left off.

    Inside ``active`` the CPU's generator holds this stream's state, and the GPU's generator *is* this stream's: its
    state is exchanged by reference, which a CUDA graph can capture.

    Args:
        seed: where the stream begins.
        device: the generators of the CPU and, where it is a GPU, of this device belong to the stream.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        self.generator: torch.Generator | None = None
        if device.type == "cuda":
            torch.cuda.init()  # or there are no default generators yet
            self.generator = torch.Generator(device).manual_seed(seed)
        self._cpu = torch.Generator().manual_seed(seed).get_state()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Random numbers drawn inside come from this stream; the global state is as before afterwards."""
        outside = torch.get_rng_state()
        torch.set_rng_state(self._cpu)
        try:
            with self._active_on_gpu():
                yield
        finally:
            self._cpu = torch.get_rng_state()
            torch.set_rng_state(outside)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Inside, within ``active``, each of several processes draws other numbers, which its own rows need.

        The stream itself, the same in all of them, is afterwards where it was, or one draw further if any was made.
        """
        if distributed.size() == 1:
            yield
            return
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(zlib.crc32(self._position().numpy().tobytes()) + distributed.rank())
            start = self._position()
            yield
            moved = not torch.equal(start, self._position())
        if moved:
            torch.rand(1, device=self.device)

    def _position(self) -> Tensor:
        return torch.get_rng_state() if self.device.type == "cpu" else torch.cuda.get_rng_state(self.device)

    @contextmanager
    def _active_on_gpu(self) -> Iterator[None]:
        if self.generator is None:
            yield
            return
        current = torch.cuda.default_generators[self.device.index or 0]
        outside = current.graphsafe_get_state()
        current.graphsafe_set_state(self.generator)
        try:
            yield
        finally:
            current.graphsafe_set_state(outside)

    def leave_graph(self) -> None:
        """Go on outside a CUDA graph whose capture failed, and which may not have let go of the GPU's generators."""
        current = torch.cuda.default_generators[self.device.index or 0]
        current.graphsafe_set_state(_copy(current))
        self.generator = None if self.generator is None else _copy(self.generator)

    def state_dict(self) -> dict[str, Tensor]:
        """The position in the stream."""
        gpu = {} if self.generator is None else {"cuda": self.generator.get_state()}
        return {"cpu": self._cpu, **gpu}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a stored position; one stored on a device of another type leaves the GPU's as it is."""
        self._cpu = state["cpu"].cpu()
        if self.generator is not None and "cuda" in state:
            self.generator.set_state(state["cuda"].cpu())


def _copy(generator: torch.Generator) -> torch.Generator:
    copy = torch.Generator(generator.device)
    copy.set_state(generator.get_state())
    return copy
