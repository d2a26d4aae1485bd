"""The one thing that flows from the data to the networks."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """A batch of labelled images.

    Of several processes each holds its share of the images (``distributed.share``), and all the rest whole.

    Attributes:
        image: normalised float images, [B, C, H, W], or this process's share of them.
        target: class numbers, int64, [B].
        index: each sample's number within its training set, 0 to N - 1, int64, [B].
        pool_view: which augmentation of a fixed pool each image shows, int64, [B]; None where there is no pool.
    """

    image: Tensor
    target: Tensor
    index: Tensor
    pool_view: Tensor | None = None
