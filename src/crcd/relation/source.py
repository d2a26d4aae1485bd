"""What a source of negatives is, and the one without a memory: the batch itself.

Every source keeps rows of student and teacher side by side, since the student's term takes teacher rows and the
mirrored term student rows. Whether a row is an element or what a head made of it is nothing to a source. All drawing
happens on the device that holds the rows, with torch's own random numbers.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from crcd.relation.negatives import Negatives

NO_CLASS = -3
"""Class that no row has: in place of one that is not known, in comparison with those of rows."""


class Elements(NamedTuple):
    """Rows of one batch, detached, and which samples they are of.

    Attributes:
        student_BD: the student's.
        teacher_BD: the teacher's; they may have another width.
        target_B: classes; below 0 where one is not known.
        index_B: sample numbers; None where the data has none.
        usable_B: False where an element has no direction (a vanished gradient) or is of a mixed image; it is neither
            kept nor a negative.
        partner_B: place in the batch of the other sample that an image is mixed of; None where none is.
    """

    student_BD: Tensor
    teacher_BD: Tensor
    target_B: Tensor
    index_B: Tensor | None
    usable_B: Tensor
    partner_B: Tensor | None = None

    def own_class(self, target_K: Tensor) -> Tensor:
        """True where a row's class, of [K] or [B, K], is known to be that of the sample or of its partner, [B, K]."""
        return self._own(torch.where(self.target_B >= 0, self.target_B, NO_CLASS), target_K)

    def own_sample(self, sample_K: Tensor) -> Tensor:
        """True where a row, of [K] or [B, K], is known to be of the sample itself or of its partner, [B, K]."""
        if self.index_B is None:
            return torch.zeros(1, 1, dtype=torch.bool, device=sample_K.device).expand(len(self.target_B), len(sample_K))
        return self._own(self.index_B, sample_K)

    def _own(self, name_B: Tensor, name_K: Tensor) -> Tensor:
        own_BK = name_K == name_B[:, None]
        return own_BK if self.partner_B is None else own_BK | (name_K == name_B[self.partner_B][:, None])


class Drawn(NamedTuple):
    """One step's negatives: student rows for the mirrored term, teacher rows of the same samples for the student's."""

    student: Negatives
    teacher: Negatives


class NegativeSource(nn.Module, ABC):
    """Gives the negatives of a batch, and learns the batch's elements afterwards."""

    @abstractmethod
    def draw(self, batch: Elements) -> Drawn:
        """Negatives of the batch."""

    def update(self, batch: Elements) -> None:
        """Remember the batch's elements, where the source has a memory."""
        return


class InBatch(NegativeSource):
    """The other samples of the batch; no memory.

    Args:
        exact: True leaves out the sample's own class, False only the sample itself.
    """

    def __init__(self, *, exact: bool) -> None:
        super().__init__()
        self.exact = exact

    def draw(self, batch: Elements) -> Drawn:
        place_B = torch.arange(len(batch.target_B), device=batch.target_B.device)
        sample_B = place_B if batch.index_B is None else batch.index_B
        excluded_BB = batch._replace(index_B=sample_B).own_sample(sample_B) | ~batch.usable_B
        if self.exact:
            excluded_BB = excluded_BB | batch.own_class(batch.target_B)
        return Drawn(
            Negatives(batch.student_BD, None, excluded_BB, sample_B),
            Negatives(batch.teacher_BD, None, excluded_BB, sample_B),
        )
