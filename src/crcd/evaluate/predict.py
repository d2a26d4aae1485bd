"""Logits of networks on a whole data set."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from crcd import distributed
from crcd.data.batch import Batch


def predict(models: Sequence[nn.Module], batches: Iterable[Batch]) -> list[Tensor]:
    """Logits of each network on all batches, [N, C] each, reading every batch once.

    The networks run in eval mode and are left in it.
    """
    logits: list[list[Tensor]] = [[] for _ in models]
    with torch.inference_mode():
        for batch in batches:
            for model, rows in zip(models, logits, strict=True):
                rows.append(distributed.gather(model.eval()(batch.image).float(), len(batch.target)))
    return [torch.cat(rows) for rows in logits]
