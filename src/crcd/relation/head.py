"""Classifiers z = W f + b: one linear layer, or several layers that come to the same."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LinearHead(nn.Module, ABC):
    """z = W f + b, with W and b made of the parameters of other layers, which stay where they are."""

    @property
    @abstractmethod
    def weight(self) -> Tensor:
        """W, [C, D]; gradients reach the layers that it is made of."""

    @property
    @abstractmethod
    def bias(self) -> Tensor | None:
        """b, [C]."""

    def forward(self, feature_BD: Tensor) -> Tensor:
        """Logits, [B, C]."""
        return F.linear(feature_BD, self.weight, self.bias)


class LayerHead(LinearHead):
    """One layer of another class than ``nn.Linear`` that maps vectors linearly.

    Args:
        layer: a linear layer, or a 1x1 convolution of maps of one pixel: W is its kernel without the two sides of
            length 1.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer

    @property
    def weight(self) -> Tensor:
        return self.layer.weight.flatten(1)

    @property
    def bias(self) -> Tensor | None:
        return self.layer.bias


class MeanHead(LinearHead):
    """The mean of n linear heads that take a feature each, as of DeiT's class token and its distillation token.

    z = 1/n sum_i (W_i f_i + b_i) = W f + b for the concatenated feature f = [f_1 ... f_n], with W = [W_1 ... W_n] / n
    and b = 1/n sum_i b_i.

    Args:
        heads: linear layers of one number of classes.
    """

    def __init__(self, heads: Sequence[nn.Linear | LinearHead]) -> None:
        super().__init__()
        self.modules_of_heads = nn.ModuleList(heads)

    @property
    def heads(self) -> list[nn.Linear | LinearHead]:
        """The heads."""
        return cast("list[nn.Linear | LinearHead]", list(self.modules_of_heads))

    @property
    def weight(self) -> Tensor:
        return torch.cat([head.weight for head in self.heads], dim=1) / len(self.heads)

    @property
    def bias(self) -> Tensor | None:
        biases = [head.bias for head in self.heads if head.bias is not None]
        return torch.stack(biases).sum(dim=0) / len(self.heads) if biases else None


def linear_weight(classifier: nn.Module) -> Tensor | None:
    """W, [C, D], of a classifier z = W f + b; None of any other.

    A subclass of ``nn.Linear`` with a ``forward`` of its own (a cosine head, say) is not a linear layer.
    """
    if isinstance(classifier, LinearHead):
        return classifier.weight
    if isinstance(classifier, nn.Linear) and type(classifier).forward is nn.Linear.forward:
        return classifier.weight
    return None
