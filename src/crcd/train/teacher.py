"""The frozen network that students learn from."""

import torch
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from crcd.data import Batch
from crcd.models import Viewer, fold_batchnorm, stage_names
from crcd.relation.view import View
from crcd.train.options import ComputeOptions
from crcd.train.reader import Reader


class Teacher:
    """A frozen copy of a classifier in eval mode, its batch normalisations folded, channels last.

    Args:
        model: the trained classifier; left as it is.
        device: where the copy computes.
        compute: how.
        classifier: name of the layer that makes its logits; None to find it.
        adapt: makes of the batch's images those that the teacher takes; None where they are the same.
        maps: whether its views hold the feature maps of its stages.
        preactivations: whether they hold them as they are before their activation, too.

    Attributes:
        viewer: reads the teacher.
        network: the batch's images to the teacher's logits.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device,
        compute: ComputeOptions,
        classifier: str | None = None,
        adapt: nn.Module | None = None,
        *,
        maps: bool = False,
        preactivations: bool = False,
    ) -> None:
        folded = fold_batchnorm(model).requires_grad_(False)
        folded = convert_conv2d_weight_memory_format(folded.to(device), torch.channels_last)
        names = stage_names(folded) if maps else ()
        adapt = None if adapt is None else adapt.to(device)
        self.viewer = Viewer(folded, names, classifier, preactivations=preactivations, adapt=adapt).eval()
        self.network = folded if adapt is None else nn.Sequential(adapt, folded)
        self._read = Reader(self.viewer, compute)

    def __call__(self, batch: Batch) -> View:
        """View of a batch, of the whole one where several processes share it.

        Its tensors have no graph and may be saved for the backward pass of a student.
        """
        with torch.inference_mode():
            view = self._read(batch.image)
        maps, before = ({name: x.clone() for name, x in held.items()} for held in (view.maps, view.preactivations))
        own = View(view.logits.clone(), view.feature.clone(), view.classifier, maps, before)
        return own.gathered(len(batch.target))
