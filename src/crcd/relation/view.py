"""What distillation reads off one forward pass of a classifier."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass(frozen=True)
class View:
    """One classifier's reading of one batch.

    Attributes:
        logits: z, [B, C].
        feature: f, the penultimate feature, the input of ``classifier``, [B, D].
        classifier: the module that maps ``feature`` to ``logits``. When it is linear
            (``crcd.relation.head``), the feature gradient has a closed form; otherwise it is found by autograd.
        maps: feature maps that were asked for, by layer name, each [B, C', H', W'] or [B, L, D'].
        preactivations: those of them that are stages as they are before their activation, if that was asked for.
    """

    logits: Tensor
    feature: Tensor
    classifier: nn.Module
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    preactivations: Mapping[str, Tensor] = field(default_factory=dict)
