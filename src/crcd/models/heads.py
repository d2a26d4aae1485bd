"""Which layers of a network make its logits."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from crcd.errors import CrcdError
from crcd.relation.head import LayerHead, LinearHead, MeanHead

NAMED_BY = "crcd distill: --teacher-classifier, --student-classifier; crcd train: --classifier; in Python: classifier="
"""How the layer is named that makes a network's logits."""


def is_linear(layer: Any) -> bool:
    """Whether a layer maps vectors linearly: ``nn.Linear``, or a 1x1 convolution of maps of one pixel."""
    return isinstance(layer, nn.Linear) or (
        isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1
    )


def linear_layers(model: nn.Module) -> dict[str, nn.Module]:
    """All such layers by name, in the order in which the network registers them."""
    return {name: layer for name, layer in model.named_modules() if is_linear(layer)}


def as_vectors(x: Any) -> Any:
    """Maps of one pixel, [B, D, 1, 1], as vectors [B, D]; anything else as it is."""
    return x.flatten(1) if isinstance(x, Tensor) and x.dim() == 4 and x.shape[2:] == (1, 1) else x


def head_of(layers: list[nn.Module]) -> nn.Module:
    """The map from penultimate feature to logits: one layer, or the mean of several."""
    heads = [_as_head(layer) for layer in layers]
    return heads[0] if len(heads) == 1 else MeanHead([h for h in heads if isinstance(h, nn.Linear | LinearHead)])


def _as_head(layer: nn.Module) -> nn.Module:
    if isinstance(layer, nn.Conv2d):
        return LayerHead(layer)
    # timm's own class computes the same: it casts for TorchScript only.
    return (
        LayerHead(layer) if isinstance(layer, nn.Linear) and type(layer).__module__ == "timm.layers.linear" else layer
    )


def find_heads(model: nn.Module, output: Any, calls: Mapping[str, tuple[Any, Any]]) -> tuple[str, ...]:
    """Names of the linear layers that make a network's output: the one whose output it is, or two with that mean.

    Args:
        model: the network.
        output: what it gave, [B, C].
        calls: what its linear layers took in and gave out meanwhile, by name.

    Raises:
        CrcdError: it gave no logits, or none or several of its layers fit.
    """
    if not isinstance(output, Tensor) or output.dim() != 2:
        found = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise CrcdError(f"{_name(model)} gives {found}, not logits [batch, classes]: make it give these alone")
    made = {name: as_vectors(out) for name, (_, out) in calls.items()}
    fits = [name for name in made if _same(made[name], output)]
    if len(fits) == 1:
        return (fits[0],)
    if not fits and len(pairs := list(_pairs_with_mean(made, output))) == 1:
        return pairs[0]
    wide = [name for name, out in made.items() if out.shape[-1] == output.shape[1]]
    raise CrcdError(
        f"{_name(model)}: {len(fits)} linear layers give exactly its logits, so its classifier cannot be told; name it "
        f"({NAMED_BY}), candidates: "
        f"{', '.join(wide) or ', '.join(calls) or 'no linear layer ran'}"
    )


def _pairs_with_mean(made: Mapping[str, Tensor], output: Tensor) -> Iterator[tuple[str, str]]:
    """Pairs of layers, both as wide as the output, whose mean it is: distilled networks average two heads."""
    wide = [name for name, out in made.items() if out.shape == output.shape]
    for first, second in combinations(wide, 2):
        if _same((made[first] + made[second]) / 2, output):
            yield first, second


def _same(made: Tensor, output: Tensor) -> bool:
    return made.shape == output.shape and torch.equal(made, output)


def _name(model: nn.Module) -> str:
    return type(model).__name__
