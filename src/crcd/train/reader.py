"""How a run reads networks: its precision, and compiled where it asks for that."""

import logging

import torch
from torch import Tensor

from crcd.models import Viewer
from crcd.relation.view import View
from crcd.train.options import ComputeOptions

log = logging.getLogger(__name__)


class Reader:
    """image -> View, in the run's precision; the view's tensors are float32 whatever that is.

    A network that can't be compiled is run as it is, after one warning.

    Args:
        viewer: the network, on its device.
        options: precision, and whether to compile.
    """

    def __init__(self, viewer: Viewer, options: ComputeOptions) -> None:
        self.viewer = viewer
        self.bf16 = options.precision == "bf16"
        self._compiled = torch.compile(viewer) if options.compile else None

    def __call__(self, image_BCHW: Tensor) -> View:
        """View of a batch, under the caller's mode of gradients and training."""
        with torch.autocast(image_BCHW.device.type, torch.bfloat16, enabled=self.bf16):
            view = self._read(image_BCHW)
        if not self.bf16:
            return view
        maps, before = ({name: x.float() for name, x in held.items()} for held in (view.maps, view.preactivations))
        return View(view.logits.float(), view.feature.float(), view.classifier, maps, before)

    def _read(self, image_BCHW: Tensor) -> View:
        view: View = self.viewer(image_BCHW) if self._compiled is None else self._read_compiled(image_BCHW)
        return view

    def _read_compiled(self, image_BCHW: Tensor) -> View:
        from torch._dynamo.exc import TorchDynamoException  # slow to import

        assert self._compiled is not None
        try:
            view: View = self._compiled(image_BCHW)
        except TorchDynamoException as error:
            name, reason = type(self.viewer.model).__name__, " ".join(str(error).split("\n\n")[0].split())
            log.warning("%s can't be compiled, it is run as it is (%s)", name, reason)
            self._compiled = None
            view = self.viewer(image_BCHW)
        return view
