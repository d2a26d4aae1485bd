"""The one thing that flows from the data to the networks."""

from dataclasses import dataclass

from torch import Tensor

from crcd.relation.mixture import Mixture


@dataclass(frozen=True)
class Batch:
    """A batch of images.

    Of several processes each holds its share of the images (``distributed.share``), and all the rest whole.

    Attributes:
        image: normalised float images, [B, C, H, W], or this process's share of them.
        target: class numbers, int64, [B]; ``UNLABELLED`` where a class is not known.
        index: each sample's number within its training set, 0 to N - 1, int64, [B]; None where samples have none.
        pool_view: which augmentation of a fixed pool each image shows, int64, [B]; None where there is no pool.
        mixture: what each image is mixed of, where ``target`` and ``index`` are its own; None where none is mixed.
        labelled: True where the classes of all that an image is made of are known, [B]; None where all of them are.
    """

    image: Tensor
    target: Tensor
    index: Tensor | None
    pool_view: Tensor | None = None
    mixture: Mixture | None = None
    labelled: Tensor | None = None
