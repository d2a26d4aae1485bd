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


def near_chance(labels_N: Tensor) -> float:
    """Top-1 below which a network is hardly better than chance, percent: 100 (p + 0.05 (1 - p)).

    p is the share of the commonest class, what one and the same answer for all images gets right; a network near
    chance is less than a twentieth of the way from there to all right.
    """
    p = int(labels_N.bincount().max()) / len(labels_N)
    return 100 * (p + 0.05 * (1 - p))
