"""Running means of an epoch, kept on the device."""

import torch
from torch import Tensor


class Totals:
    """Sums of named numbers over the steps of an epoch; adding a step never waits for the device."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.steps = 0

    def add(self, parts: dict[str, Tensor]) -> None:
        """Count one step's numbers."""
        for name, part in parts.items():
            value = part.detach().to(torch.float64)
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.steps += 1

    def means(self) -> dict[str, float]:
        """Mean of each number over the steps so far; waits for the device."""
        return {name: total.item() / self.steps for name, total in self.sums.items()}

    def not_finite(self) -> list[str]:
        """Names of the numbers that were infinite or not a number at some step; waits for the device."""
        return [name for name, total in self.sums.items() if not torch.isfinite(total).item()]

    def clear(self) -> None:
        """Begin an epoch."""
        self.sums = {}
        self.steps = 0

    def state_dict(self) -> dict[str, object]:
        """Sums and count."""
        return {"sums": self.sums, "steps": self.steps}

    def load_state_dict(self, state: dict[str, object], device: torch.device) -> None:
        """Go on from stored sums."""
        sums, steps = state["sums"], state["steps"]
        assert isinstance(sums, dict)
        assert isinstance(steps, int)
        self.sums = {name: total.to(device) for name, total in sums.items()}
        self.steps = steps
