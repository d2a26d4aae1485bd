"""How far a network is as sure as it is right."""

import torch
from torch import Tensor
from torch.nn import functional as F

BINS = 15
"""As in the paper."""


def expected_calibration_error(logits_NC: Tensor, labels_N: Tensor) -> float:
    """100/N * sum over bins of | sum over the bin's images of (1[right] - confidence) |, percent, in float64.

    The confidence of an image is its largest probability, and bin m of 15 holds those in ((m - 1)/15, m/15]: this is
    the mean distance between confidence and accuracy of the bins, weighted by their images. It is an estimate that
    depends on the number of images (too high for few), so compare networks on the same ones.
    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.
    """
    confidence_N, class_N = logits_NC.double().softmax(dim=1).max(dim=1)
    gap_N = (class_N == labels_N.to(class_N.device)).double() - confidence_N
    edges = torch.linspace(0, 1, BINS + 1, dtype=torch.float64, device=gap_N.device)[1:-1]
    bins_NM = F.one_hot(torch.bucketize(confidence_N, edges), BINS).double()
    return 100 * (gap_N @ bins_NM).abs().sum().item() / len(labels_N)
