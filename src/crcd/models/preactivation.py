"""A stage of a zoo network, and what is before its activation."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from crcd.models.wrn import PreactivationBlock


def run_stage(stage: nn.Module, following: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """A stage's map, and its pre-activation: what the ReLU takes that makes the map or, in a WRN, first reads it.

    Of a stage that ends without activation (MobileNetV2's) that is the map itself.

    Args:
        stage: ends in a ReLU, or a unit of one of the families.
        following: the stage or head after it.
        x: [B, C, H, W].
    """
    units: list[Any] = list(stage.children())
    last = units.pop()
    for unit in units:
        x = unit(x)
    if isinstance(last, nn.ReLU):
        return F.relu(x), x
    if hasattr(last, "before_activation"):
        before: Tensor = last.before_activation(x)
        return F.relu(before), before
    x = last(x)
    if isinstance(last, PreactivationBlock):
        first: Any = next(following.children())
        before = first.bn1(x) if isinstance(first, PreactivationBlock) else first(x)
        return x, before
    return x, x
