"""Running means of an epoch, kept on the device."""

import math

import torch
from torch import Tensor


class Totals:
    """Sums of named numbers over the steps of an epoch; adding a step never waits for the device.

    All numbers of a step are added at once, in place, so that a captured step adds to the same memory.

    Args:
        device: where the numbers lie.
    """

    def __init__(self, device: torch.device) -> None:
        self._sums: dict[tuple[str, ...], Tensor] = {}
        self._one = torch.ones((), device=device)

    def add(self, parts: dict[str, Tensor]) -> None:
        """Count one step's numbers."""
        names = tuple(parts)
        if names not in self._sums:
            self._sums[names] = self._one.new_zeros(len(names) + 1, dtype=torch.float64)
        self._sums[names] += torch.stack([*(part.detach().float() for part in parts.values()), self._one])

    def means(self) -> dict[str, float]:
        """Mean of each number over the steps that had it; waits for the device."""
        sums: dict[str, float] = {}
        steps: dict[str, float] = {}
        for names, vector in self._sums.items():
            *values, count = vector.tolist()
            if count:
                for name, value in zip(names, values, strict=True):
                    sums[name] = sums.get(name, 0.0) + value
                    steps[name] = steps.get(name, 0.0) + count
        return {name: value / steps[name] for name, value in sums.items()}

    def not_finite(self) -> list[str]:
        """Names of the numbers that were infinite or not a number at some step; waits for the device."""
        return [name for name, mean in self.means().items() if not math.isfinite(mean)]

    def clear(self) -> None:
        """Begin an epoch."""
        for vector in self._sums.values():
            vector.zero_()

    def state_dict(self) -> dict[tuple[str, ...], Tensor]:
        """Sums and number of steps, by the names that were counted together."""
        return dict(self._sums)

    def load_state_dict(self, state: dict[tuple[str, ...], Tensor]) -> None:
        """Go on from stored sums."""
        self._sums = {names: vector.to(self._one.device, copy=True) for names, vector in state.items()}
