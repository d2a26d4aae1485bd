"""How far a network is as sure as it is right."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

BINS = 15
"""As in the paper."""


class Reliability(NamedTuple):
    """Images by their confidence, their largest probability: bin m of 15 holds those in ((m - 1)/15, m/15], [15] each.

    Attributes:
        images: how many images a bin has.
        right: how many of them are classified right.
        confidence: sum of their confidences, float64.
    """

    images: Tensor
    right: Tensor
    confidence: Tensor


def reliability(logits_NC: Tensor, labels_N: Tensor) -> Reliability:
    """How often a network is right at each confidence, as in a reliability diagram (Guo et al. 2017)."""
    confidence_N, class_N = logits_NC.double().softmax(dim=1).max(dim=1)
    edges = torch.linspace(0, 1, BINS + 1, dtype=torch.float64, device=logits_NC.device)[1:-1]
    bins_NM = F.one_hot(torch.bucketize(confidence_N, edges), BINS)
    right_N = (class_N == labels_N.to(class_N.device)).long()
    return Reliability(bins_NM.sum(dim=0), (right_N[:, None] * bins_NM).sum(dim=0), confidence_N @ bins_NM.double())


def expected_calibration_error(logits_NC: Tensor, labels_N: Tensor) -> float:
    """100/N * sum over bins of | right - sum of confidence | (``Reliability``), percent, in float64.

    This is the mean distance between confidence and accuracy of the bins, weighted by their images. It is an estimate
    that depends on the number of images (too high for few), so compare networks on the same ones.
    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.
    """
    bins = reliability(logits_NC, labels_N)
    return 100 * (bins.right - bins.confidence).abs().sum().item() / len(labels_N)
