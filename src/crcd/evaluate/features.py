"""Penultimate features of networks, and their logits, on a whole data set."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from crcd.data.batch import Batch
from crcd.models import Viewer


class Features(NamedTuple):
    """What one network makes of N images, float32.

    Attributes:
        feature_ND: inputs of its classifier.
        logits_NC: outputs of its classifier.
    """

    feature_ND: Tensor
    logits_NC: Tensor


def extract(viewers: Sequence[Viewer], batches: Iterable[Batch]) -> list[Features]:
    """Features and logits of each network on all batches, reading every batch once.

    The networks run in eval mode, without autocast, and are left in it.
    """
    rows: list[list[Features]] = [[] for _ in viewers]
    with torch.inference_mode():
        for batch in batches:
            for viewer, own in zip(viewers, rows, strict=True):
                view = viewer.eval()(batch.image).gathered(len(batch.target))
                own.append(Features(view.feature.float(), view.logits.float()))
    return [Features(*map(torch.cat, zip(*own, strict=True))) for own in rows]
