"""How networks relate images to one another, by feature and by feature gradient."""

import torch
from torch import Tensor
from torch.nn import functional as F

from crcd.report.networks import Reading

CLASSES = 10
PER_CLASS = 3
"""Anchors: so many images of each of so many classes."""
PAIRED = 300
"""Images of which all pairs are counted in a distribution."""
BINS = 40
ELEMENTS = ("feature", "gradient")


def choose_anchors(labels_N: Tensor) -> Tensor:
    """Numbers of the first three images of each of ten classes, evenly chosen where there are more, class by class."""
    classes = labels_N.unique()
    if len(classes) > CLASSES:
        classes = classes[torch.linspace(0, len(classes) - 1, CLASSES).long()]
    return torch.cat([(labels_N == c).nonzero()[:PER_CLASS, 0] for c in classes.tolist()])


def relation_matrix(reading: Reading, element: str, index_A: Tensor) -> Tensor:
    """Cosines of the elements of two images each, [A, A]; of features, after the mean over all images is taken off.

    Without the mean a shift of all features changes nothing, as it changes none of CRCD's relations, which are
    differences. Gradients keep theirs, as in the loss.
    """
    x_AD = F.normalize(_element(reading, element)[index_A], dim=1)
    return x_AD @ x_AD.T


def likeness(matrix_AA: Tensor, teacher_AA: Tensor) -> float:
    """Pearson's correlation of two relation matrices over all pairs of two images, -1 to 1; 0 if one is flat."""
    rows, columns = torch.triu_indices(len(matrix_AA), len(matrix_AA), offset=1)
    pair = torch.stack([matrix_AA[rows, columns], teacher_AA[rows, columns]])
    return float(torch.corrcoef(pair)[0, 1].nan_to_num())


def cosine_counts(reading: Reading, element: str, labels_N: Tensor) -> dict[str, Tensor]:
    """Share of the pairs of images in each of 40 bins of their cosine from -1 to 1, percent.

    Returns:
        ``one class`` and ``two classes``, [40] each; zeros where there is no such pair.
    """
    index = evenly(len(labels_N), PAIRED)
    cosine_AA, labels_A = relation_matrix(reading, element, index), labels_N[index]
    above = torch.ones_like(cosine_AA, dtype=torch.bool).triu(1)
    same = labels_A[:, None] == labels_A
    shares = {}
    for name, chosen in (("one class", above & same), ("two classes", above & ~same)):
        counts = torch.histc(cosine_AA[chosen].clamp(-1, 1), BINS, -1, 1)
        shares[name] = 100 * counts / counts.sum().clamp(min=1)
    return shares


def evenly(count: int, most: int) -> Tensor:
    """At most so many numbers below ``count``, evenly spaced."""
    return torch.arange(count) if count <= most else torch.linspace(0, count - 1, most).long()


def centred_features(reading: Reading) -> Tensor:
    """Unit features after the mean over all images is taken off, [N, D]."""
    return F.normalize(_element(reading, "feature"), dim=1)


def _element(reading: Reading, element: str) -> Tensor:
    if element == "gradient":
        return reading.gradient_ND
    return reading.feature_ND - reading.feature_ND.mean(dim=0)
