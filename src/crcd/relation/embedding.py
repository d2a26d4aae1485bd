"""How an element is embedded as a unit row: by a trained layer, or only standardised."""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crcd.errors import CrcdError
from crcd.relation.relations import MIN_NORM

MIN_DEVIATION = 1e-6
"""Smallest standard deviation by which is divided: a number that does not vary tells nothing."""


class Embedding(nn.Module):
    """Linear head to width ``dim`` and l2-normalisation.

    Args:
        in_dim: width of the element.
        dim: D.
        bias: False for gradient elements, whose tiny length any bias would swamp; they are normalised before the
            layer too.
    """

    def __init__(self, in_dim: int, dim: int, *, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(in_dim, dim, bias=bias)
        self.normalise_first = not bias

    @classmethod
    def trained(cls, tensors: Mapping[str, Tensor], prefix: str) -> Self:
        """The head whose tensors are those of a file that begin with ``prefix``."""
        own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        dim, in_dim = own["linear.weight"].shape
        head = cls(in_dim, dim, bias="linear.bias" in own)
        head.load_state_dict(own)
        return head

    def forward(self, element_BE: Tensor) -> Tensor:
        """Embedded unit rows, float32, [B, D]."""
        with torch.autocast(element_BE.device.type, enabled=False):
            return F.normalize(self.linear(self.scaled(element_BE)), dim=1, eps=MIN_NORM)

    def scaled(self, element_BE: Tensor) -> Tensor:
        """The element as the layer takes it, float32, of length 1 where it is normalised before, [B, E]."""
        return _scaled(element_BE, self.linear.in_features, self.linear.weight.dtype, self.normalise_first)


class Standardised(nn.Module):
    """h(x) = l2norm((x - mean) / max(std, 1e-6)), number by number, over all samples that it has learned; none trained.

    Args:
        dim: width E of the element, and of its rows.
        normalise_first: bring elements to length 1 before, as gradients.
    """

    count: Tensor
    mean_E: Tensor
    square_E: Tensor

    def __init__(self, dim: int, *, normalise_first: bool) -> None:
        super().__init__()
        self.normalise_first = normalise_first
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean_E", torch.zeros(dim))
        self.register_buffer("square_E", torch.zeros(dim))

    @torch.no_grad()
    def learn(self, element_BE: Tensor, usable_B: Tensor) -> None:
        """Take the usable elements of a batch into mean and deviation (Chan, Golub and LeVeque 1983)."""
        x_BE, usable_B1 = self.scaled(element_BE), usable_B[:, None].to(self.mean_E.dtype)
        number = usable_B1.sum()
        mean_E = (x_BE * usable_B1).sum(dim=0) / number.clamp_min(1)
        away_E, total = mean_E - self.mean_E, (self.count + number).clamp_min(1)
        self.square_E += ((x_BE - mean_E).square() * usable_B1).sum(dim=0)
        self.square_E += away_E.square() * self.count * number / total
        self.mean_E += away_E * number / total
        self.count += number

    def forward(self, element_BE: Tensor) -> Tensor:
        """Unit rows, float32, [B, E]."""
        std_E = (self.square_E / self.count.clamp_min(1)).sqrt()
        return F.normalize(
            (self.scaled(element_BE) - self.mean_E) / std_E.clamp_min(MIN_DEVIATION), dim=1, eps=MIN_NORM
        )

    def scaled(self, element_BE: Tensor) -> Tensor:
        """The element before it is standardised, float32, of length 1 where it is normalised before, [B, E]."""
        return _scaled(element_BE, len(self.mean_E), self.mean_E.dtype, self.normalise_first)


def _scaled(element_BE: Tensor, width: int, dtype: torch.dtype, normalise: bool) -> Tensor:
    if element_BE.shape[1] != width:
        raise CrcdError(
            f"a feature has {element_BE.shape[1]} numbers, its head takes {width}: make the loss for the networks' own "
            "widths, Viewer(network)(image).feature.shape[1]"
        )
    if dtype.itemsize < torch.float32.itemsize:
        raise CrcdError(f"the heads are {dtype}: keep the loss in float32, whatever the networks are in")
    element_BE = element_BE.to(dtype)
    return F.normalize(element_BE, dim=1, eps=MIN_NORM) if normalise else element_BE
