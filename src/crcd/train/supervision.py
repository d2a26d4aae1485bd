"""Cross-entropy with the labels that a batch has."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from crcd.data import UNLABELLED, Batch


def supervised_loss(
    logits_BC: Tensor, batch: Batch, label_smoothing: float, class_weight_C: Tensor | None = None
) -> Tensor:
    """Mean of cross-entropy, nats, over the labelled images of a batch; 0 where there is none.

    With weights w of classes it is the mean of -sum_c w_c y_c log p_c: their sum over the batch does not divide it, so
    that each class has the same part in an epoch, however it is spread over its batches.

    The label of a mixed image is so mixed; if one of the two classes is not known, it counts as unlabelled.

    Args:
        logits_BC: z.
        batch: whose labels are meant.
        label_smoothing: share of a label that all classes have in common.
        class_weight_C: of each class; None for 1.
    """
    label = batch.target
    if batch.mixture is not None:
        label = batch.mixture.soft_labels(label, logits_BC.shape[1])
    if batch.labelled is None and class_weight_C is None:
        return cross_entropy(logits_BC, label, label_smoothing=label_smoothing)
    loss_B = cross_entropy(
        logits_BC, label, class_weight_C, label_smoothing=label_smoothing, ignore_index=UNLABELLED, reduction="none"
    )
    if batch.labelled is None:
        return loss_B.mean()
    return torch.where(batch.labelled, loss_B, 0.0).sum() / batch.labelled.sum().clamp_min(1)
