"""Share of images classified right."""

import math

import torch
from torch import Tensor


def top1(logits_NC: Tensor, labels_N: Tensor) -> float:
    """100/N * number of images whose largest logit is their class's, percent; NaN unless all logits are finite."""
    if not torch.isfinite(logits_NC).all():
        return math.nan
    correct = (logits_NC.argmax(dim=1) == labels_N.to(logits_NC.device)).sum()
    return 100 * correct.item() / len(labels_N)
