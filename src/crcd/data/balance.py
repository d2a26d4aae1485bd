"""Classes of unequal size: weights for a loss, or an order that shows each class as often."""

import torch
from torch import Tensor

from crcd.data.dataset import UNLABELLED


def class_weights(labels_N: Tensor, num_classes: int) -> Tensor:
    """w_c = N / (C n_c), float32, [num_classes], for n_c of N labelled images in each of the C classes that have any.

    Their mean over the labelled images is 1, and each class has the same sum; a class without images has weight 0.
    """
    size_C = torch.bincount(labels_N[labels_N != UNLABELLED], minlength=num_classes)
    weight_C = size_C.sum() / ((size_C > 0).sum() * size_C.clamp_min(1))
    return torch.where(size_C > 0, weight_C, 0.0)


def balanced_order(labels_N: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers of images for one epoch, [N], in random order: all classes as often, but for a rest of one.

    The images of a class come in turns, each again only after all others; which of a large class have no turn, and
    which classes get one more image, is random. Unlabelled images come once each.
    """

    def shuffled(numbers: Tensor) -> Tensor:
        return numbers[torch.randperm(len(numbers), generator=generator)]

    known_N = labels_N != UNLABELLED
    classes = shuffled(labels_N[known_N].unique())
    chosen = [(~known_N).nonzero()[:, 0]]
    for place, label in enumerate(classes):
        members = (labels_N == label).nonzero()[:, 0]
        count = (int(known_N.sum()) + len(classes) - 1 - place) // len(classes)
        turns = [shuffled(members) for _ in range(-(-count // len(members)))]
        chosen.append(torch.cat(turns)[:count] if turns else members[:0])
    return shuffled(torch.cat(chosen))
