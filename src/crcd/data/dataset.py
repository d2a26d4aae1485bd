"""What a data set is: images to learn from, labelled images to score on, names and pixel statistics."""

import copy
import hashlib
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from crcd.errors import CrcdError

UNLABELLED = -1
"""Label of an image to learn from whose class is not known."""


class Images(Protocol):
    """N images of one shape."""

    labels: Tensor
    """Classes, int64, [N]; ``UNLABELLED`` where one is not known."""
    shape: tuple[int, int, int]
    """C, H, W."""

    def __len__(self) -> int: ...

    def fetch(self, index_B: Tensor) -> Tensor:
        """Images of the given numbers, uint8, [B, C, H, W]."""
        ...

    def take(self, index: Tensor) -> Self:
        """The images of the given numbers, re-numbered from 0."""
        ...

    def digest(self) -> str:
        """Hash by which they are known again where they lie, labels left out; it is quickly had."""
        ...

    def content_digest(self) -> str:
        """Hash of what is in them, in their order, labels left out, wherever they lie; all of them are read."""
        ...


class TensorImages:
    """Images held in memory, on any device: uint8, [N, C, H, W]."""

    def __init__(self, image_NCHW: Tensor, labels: Tensor) -> None:
        self.image_NCHW, self.labels = image_NCHW, labels
        self.shape: tuple[int, int, int] = (image_NCHW.shape[1], image_NCHW.shape[2], image_NCHW.shape[3])

    def __len__(self) -> int:
        return len(self.labels)

    def fetch(self, index_B: Tensor) -> Tensor:
        return self.image_NCHW[index_B]

    def take(self, index: Tensor) -> Self:
        return type(self)(self.image_NCHW[index], self.labels[index])

    def digest(self) -> str:
        return self.content_digest()

    def content_digest(self) -> str:
        return hashlib.sha256(self.image_NCHW.cpu().contiguous().numpy().data).hexdigest()

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        return type(self)(self.image_NCHW.to(device), self.labels.to(device))


Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, for pixels scaled to [0, 1]."""


@dataclass(frozen=True)
class DataSet:
    """Images of one name.

    Attributes:
        name: what it is called on the command line.
        train: images to learn from.
        test: images to score on.
        class_names: names of the classes, in the order of their numbers.
        mean: of each channel, for pixels scaled to [0, 1].
        std: likewise.
    """

    name: str
    train: Images
    test: Images
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        for part, images in (("training", labelled(self.train)), ("test", self.test)):
            check_labels(images.labels, len(self.class_names), f"{self.name}, {part} images")

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.class_names)


def check_labels(labels: Tensor, num_classes: int, where: str) -> None:
    """Raises ``CrcdError`` unless every label lies in 0 .. num_classes - 1."""
    wrong = (labels < 0) | (labels >= num_classes)
    if wrong.any():
        place = int(wrong.nonzero()[0])
        raise CrcdError(
            f"{where}: label {int(labels[place])} of image {place} is out of range ({int(wrong.sum())} such); "
            f"{num_classes} classes have labels 0 to {num_classes - 1}"
        )


def known_labels(images: Images) -> Tensor:
    """Labels of the images that have one."""
    return images.labels[images.labels != UNLABELLED]


def labelled(images: Images) -> Images:
    """The images that have a label, re-numbered from 0."""
    known = images.labels != UNLABELLED
    return images if known.all() else images.take(known.nonzero()[:, 0])


def relabelled(images: Images, labels: Tensor) -> Images:
    """The same images with other labels."""
    own = copy.copy(images)
    own.labels = labels
    return own


def subset(images: Images, count: int, seed: int) -> Images:
    """A random choice of ``count`` labelled images, class by class in proportion, and all unlabelled ones.

    They keep their order and are re-numbered from 0.

    Raises:
        CrcdError: the choice, or what it leaves, has too few images for one a class.
    """
    labels = known_labels(images)
    if count == len(labels):
        return images
    classes, most = len(labels.unique()), len(labels)
    if not classes <= count <= most - classes:
        raise CrcdError(
            f"{count} training images were asked for: give {classes} (one a class) to {most - classes}, or all {most}"
        )
    return images.take(_with_unlabelled(images, _stratified(labels, count, seed)[0]))


def split(images: Images, fraction: float, seed: int) -> tuple[Images, Images]:
    """Images to learn from, and a share of the labelled ones held out, class by class in proportion.

    Raises:
        CrcdError: one of the two has too few images for one a class.
    """
    labels = known_labels(images)
    held_out = round(len(labels) * fraction)
    classes = len(labels.unique())
    if held_out < classes or len(labels) - held_out < classes:
        raise CrcdError(f"holding out {fraction} of {len(labels)} images leaves a class empty: choose another share")
    keep, out = _stratified(labels, len(labels) - held_out, seed)
    known_N = (images.labels != UNLABELLED).nonzero()[:, 0]
    return images.take(_with_unlabelled(images, keep)), images.take(known_N[out])


def _with_unlabelled(images: Images, chosen: Tensor) -> Tensor:
    """Numbers of the labelled images at some places among the labelled ones, and of all unlabelled images, in order."""
    known_N = (images.labels != UNLABELLED).nonzero()[:, 0]
    taken_N = images.labels == UNLABELLED
    taken_N[known_N[chosen]] = True
    return taken_N.nonzero()[:, 0]


def _stratified(labels: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    classes, sizes = labels.unique(return_counts=True)
    if sizes.min() < 2:
        raise CrcdError(
            f"class {int(classes[sizes.argmin()])} has one training image only: "
            "a choice class by class needs two or more of each"
        )
    from sklearn.model_selection import train_test_split  # a second to import: only where images are split

    numbers = np.arange(len(labels))
    chosen, rest = train_test_split(numbers, train_size=count, stratify=labels.cpu().numpy(), random_state=seed)
    parts = torch.from_numpy(np.sort(chosen)), torch.from_numpy(np.sort(rest))
    for part in parts:
        empty = classes[~torch.isin(classes, labels[part])]
        if len(empty):
            raise CrcdError(
                f"choosing {count} of {len(labels)} training images leaves class {int(empty[0])} without any in one "
                f"part: it has only {int(sizes[classes == empty[0]])}; choose another number or share"
            )
    return parts
