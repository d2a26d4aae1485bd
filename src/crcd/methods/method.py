"""What every distillation method is: terms added to a student's cross-entropy."""

from abc import ABC, abstractmethod
from typing import Any, Self

from torch import Tensor, nn

from crcd.data.batch import Batch
from crcd.errors import CrcdError
from crcd.relation.view import View


class Method(nn.Module, ABC):
    """Distillation terms of one method.

    The learner's total is ``ce_weight * CE + w(e) * method(student, teacher, batch)["loss"]`` with the distillation
    weight schedule w of the epoch e. Parameters of a method (embedding heads) are trained beside the student;
    its buffers (memory banks, random states) travel in the checkpoint.
    """

    ce_weight: float = 1.0
    uses_maps: bool = False
    """Whether it reads ``View.maps``, the networks' stages."""
    uses_preactivations: bool = False
    """Whether it reads ``View.preactivations``, too; in its first stage alone."""
    one_class: bool = False
    """Whether it needs the one class of each image, and can take neither images mixed of two nor unlabelled ones."""
    beside_ce: bool = True
    """Whether it has terms beside cross-entropy; without, it acts in a first stage alone (``TwoStage``)."""

    @classmethod
    @abstractmethod
    def build(cls, config: Any, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        """Make the method for two networks whose shapes are read off one view of each.

        Args:
            config: the method's own dataclass of settings.
            student: the student's view of any batch.
            teacher: the teacher's view of the same batch.
            labels_N: class of every training sample, in the order of ``Batch.index``, [N]; None where images have no
                numbers.
        """

    @abstractmethod
    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        """Loss terms of one batch: ``"loss"`` (their weighted sum, differentiable) and each part, detached."""


def numbered(labels_N: Tensor | None, method: str) -> Tensor:
    """The labels, for a method that needs them.

    Raises:
        CrcdError: there are none.
    """
    if labels_N is None:
        raise CrcdError(f"method '{method}' needs the class of every training sample: pass labels, or leave it out")
    return labels_N
