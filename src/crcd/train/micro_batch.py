"""A network that reads a batch in parts: the memory of one part, the loss of the whole."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from crcd.relation.view import View


def read_in_parts(read: Callable[[Tensor], View], network: nn.Module, image_BCHW: Tensor, size: int) -> View:
    """View of a batch, read ``size`` images at a time.

    Activations of a part are not kept: its forward pass is repeated when the gradients come back to it, so that those
    of one part lie in memory at a time, while every loss sees the whole batch. This is gradient accumulation for losses
    between samples; it costs one more forward pass. Batch normalisation has the statistics of each part, and counts
    each part once.

    Args:
        read: gives the view of a part.
        network: what it reads by.
        image_BCHW: the batch.
        size: images of a part.
    """
    views: list[View] = []

    def tensors(part_BCHW: Tensor) -> tuple[Tensor, ...]:
        view = read(part_BCHW)
        views.append(view)
        return view.logits, view.feature, *view.maps.values(), *view.preactivations.values()

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _uncounted(network)

    parts = image_BCHW.split(size)
    if torch.is_grad_enabled():
        answers = [checkpoint(tensors, part, use_reentrant=False, context_fn=contexts) for part in parts]
    else:
        answers = [tensors(part) for part in parts]
    logits, feature, *others = (torch.cat(own) for own in zip(*answers, strict=True))
    first = views[0]
    maps = dict(zip(first.maps, others, strict=False))
    before = dict(zip(first.preactivations, others[len(maps) :], strict=True))
    return View(logits, feature, first.classifier, maps, before)


@contextmanager
def _uncounted(network: nn.Module) -> Iterator[None]:
    """Batch normalisations inside leave their running statistics as they are."""
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    before = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
        if layer.num_batches_tracked is not None:
            layer.num_batches_tracked = layer.num_batches_tracked.clone()
    try:
        yield
    finally:
        for layer, (momentum, count) in zip(layers, before, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, count
