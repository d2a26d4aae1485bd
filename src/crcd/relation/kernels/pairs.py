"""What kernels share: the terms of a pair outside the sum over its negatives, and gradients that are known already."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from crcd.relation.objectives import InfoNCE, Objective

MAX_LOG_ODDS = 80.0
"""exp of more leaves float32; noise-contrastive estimation stays far below."""


def factor(objective: Objective, sum_e: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
    """The factor of G = factor * E of a pair's negatives."""
    scaled = weight / objective.temperature
    if isinstance(objective, InfoNCE):
        return scaled / (sum_e + torch.exp(positive / objective.temperature))
    return scaled


def pair_terms(
    objective: Objective, sum_e: Tensor, negative_loss: Tensor, positive: Tensor, count: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Loss of pairs, and its gradient at their positive cosine.

    ``sum_e`` and ``negative_loss`` are what a kernel summed over a pair's negatives.
    """
    scaled = weight / objective.temperature
    if isinstance(objective, InfoNCE):
        total = sum_e + torch.exp(positive / objective.temperature)
        return total.log() - positive / objective.temperature, -scaled * sum_e / total
    log_odds = objective.log_odds(positive, count)
    return F.softplus(-log_odds) + negative_loss, -scaled * torch.sigmoid(-log_odds)


class _KnownGradient(torch.autograd.Function):
    """A scalar whose gradients with respect to some inputs are known already."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, count: int, *inputs_and_gradients: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs_and_gradients[count:])
        return value.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gradients = tuple(grad * gradient for gradient in ctx.saved_tensors)
        return (None, None, *gradients, *(None for _ in gradients))


def with_gradients(value: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The value, with (input, gradient) pairs that its backward pass hands out."""
    inputs, gradients = zip(*pairs, strict=True)
    result: Tensor = _KnownGradient.apply(value, len(pairs), *inputs, *gradients)
    return result
