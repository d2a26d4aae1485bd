"""Whether what was handed on answers as the network does."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crcd.data import Images
from crcd.errors import CrcdError
from crcd.export.formats import Logits

IMAGES = 1000
"""Images that are compared, if there are so many."""
SPLIT = (1, 7, 64)
"""Sizes of the batches in which they are given, over and over."""


@dataclass(frozen=True)
class Check:
    """Comparison of two classifiers.

    Attributes:
        images: how many they saw.
        largest_difference: max |z - z'| over the logits z of the one and z' of the other.
        top1_agreement: share of the images that both put into the same class, percent.
    """

    images: int
    largest_difference: float
    top1_agreement: float


def spread_over(images: Images, count: int) -> Tensor:
    """Numbers of ``count`` images, evenly spread, int64; of all, some more than once, where there are fewer."""
    return torch.linspace(0, len(images) - 1, count, dtype=torch.float64).round().long()


def images_to_check(images: Images) -> Images:
    """``IMAGES`` of them, evenly spread, or all that there are; at least enough for a batch of each size."""
    return images.take(spread_over(images, max(min(len(images), IMAGES), sum(SPLIT))))


def compare(model: nn.Module, exported: Logits, batches: Iterable[Tensor], images: int) -> Check:
    """Give the same images to both.

    Args:
        model: the network.
        exported: what shall be the same.
        batches: images, normalised for the network, [B, C, H, W].
        images: how many different ones these are.

    Raises:
        CrcdError: a logit is not finite.
    """
    largest, agreeing, count = 0.0, 0, 0
    for batch in batches:
        for image_BCHW in batch.tensor_split((SPLIT[0], SPLIT[0] + SPLIT[1])):
            if len(image_BCHW) == 0:
                continue
            with torch.inference_mode():
                expected_BC = model.eval()(image_BCHW)
            found_BC = exported(image_BCHW)
            if not (torch.isfinite(expected_BC).all() and torch.isfinite(found_BC).all()):
                raise CrcdError("logits are not finite: the weights are broken")
            largest = max(largest, (found_BC - expected_BC).abs().max().item())
            agreeing += int((found_BC.argmax(dim=1) == expected_BC.argmax(dim=1)).sum())
            count += len(image_BCHW)
    return Check(images, largest, 100 * agreeing / count)
