"""Reading a batch in parts, for a device whose memory does not hold the whole batch's activations."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from crcd.errors import CrcdError
from crcd.relation.view import View


def read_in_parts(read: Callable[[Tensor], View], network: nn.Module, image_BCHW: Tensor, parts: int) -> View:
    """View of a batch whose parts are read one after the other, and once more, one by one, in the backward pass.

    What depends on the view, relations above all, is computed of the whole batch, and its gradient is exact: that of
    the network as it treats each part by itself. So batch normalisation takes each part's statistics; its running
    statistics count the first reading alone. Random numbers of the second reading are those of the first.

    Args:
        read: image -> view.
        network: what it runs.
        image_BCHW: the batch.
        parts: number of parts, whose sizes differ by one at most; with 1 nothing is read twice.

    Raises:
        CrcdError: a part would have a single image, which batch normalisation has no statistics of.
    """
    if parts == 1:
        return read(image_BCHW)
    if len(image_BCHW) < 2 * parts:
        raise CrcdError(
            f"--batch-parts is {parts}: a process has {len(image_BCHW)} images of a batch, and a part needs two: "
            f"give {max(1, len(image_BCHW) // 2)} at most"
        )

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _buffers_as_before(network)

    views = [
        checkpoint(read, part_BCHW, use_reentrant=False, context_fn=contexts)
        for part_BCHW in image_BCHW.tensor_split(parts)
    ]
    whole: list[dict[str, Tensor]] = [
        {name: torch.cat([held[name] for held in helds]) for name in helds[0]}
        for helds in ([view.maps for view in views], [view.preactivations for view in views])
    ]
    logits, feature = (torch.cat([getattr(view, name) for view in views]) for name in ("logits", "feature"))
    return View(logits, feature, views[0].classifier, *whole)


@contextmanager
def _buffers_as_before(network: nn.Module) -> Iterator[None]:
    before = [buffer.clone() for buffer in network.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, kept in zip(network.buffers(), before, strict=True):
                buffer.copy_(kept)
