"""What distillation reads off one forward pass of a classifier."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from crcd import distributed


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

    def gathered(self, count: int) -> "View":
        """The view of a whole batch of ``count`` images, of which each process read its share; differentiable."""
        if distributed.size() == 1:
            return self
        maps, before = (
            {name: distributed.gather(x, count) for name, x in held.items()}
            for held in (self.maps, self.preactivations)
        )
        logits, feature = (distributed.gather(x, count) for x in (self.logits, self.feature))
        return View(logits, feature, self.classifier, maps, before)
