"""A weight that grows over a method's first epochs."""

import torch
from torch import Tensor, nn


class WarmUp(nn.Module):
    """The share min(1, e / epochs) of a method's weight in epoch e of its training.

    An epoch is as many steps as the training set has whole batches. Steps are counted on the device, so that a step
    neither waits for the host nor, once captured, stands still; the count travels in the state.

    Args:
        epochs: over which the share grows; 0 for a share of 1 throughout.
        num_samples: N of the training set.
        first: number e of the first epoch, 0 or 1.
    """

    step: Tensor

    def __init__(self, epochs: int, num_samples: int, first: int) -> None:
        super().__init__()
        self.epochs = epochs
        self.num_samples = num_samples
        self.first = first
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, batch_size: int) -> Tensor:
        """The share, a scalar; in training, one step more is counted from then on."""
        epoch = self.first + self.step // max(1, self.num_samples // batch_size)
        share = (epoch / self.epochs).clamp(max=1) if self.epochs > 0 else torch.ones_like(epoch).float()
        if self.training:
            self.step.add_(1)
        return share
