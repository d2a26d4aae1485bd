"""Negatives from the latest elements, first in first out."""

import torch
from torch import Tensor

from crcd.relation.negatives import Negatives
from crcd.relation.source import Drawn, Elements, NegativeSource

NO_ROW = -2
"""Class of a row that holds nothing to use."""


class Queue(NegativeSource):
    """The last K elements, first in first out; needs no sample number (but uses one that is given).

    Args:
        widths: of the student's rows and of the teacher's.
        count: K; until as many have passed, there are fewer negatives.
        exact: True leaves out the sample's own class; False, what is known to be the sample itself.
    """

    student_KD: Tensor
    teacher_KD: Tensor
    target_K: Tensor
    sample_K: Tensor
    next_row: Tensor

    def __init__(self, widths: tuple[int, int], count: int, *, exact: bool) -> None:
        super().__init__()
        self.count, self.exact = count, exact
        for side, width in zip(("student", "teacher"), widths, strict=True):
            self.register_buffer(f"{side}_KD", torch.zeros(count, width))
        self.register_buffer("target_K", torch.full((count,), NO_ROW))
        self.register_buffer("sample_K", torch.full((count,), -1))
        self.register_buffer("next_row", torch.zeros((), dtype=torch.long))

    def draw(self, batch: Elements) -> Drawn:
        excluded_BK = batch.own_sample(self.sample_K) | (self.target_K == NO_ROW)
        if self.exact:
            excluded_BK = excluded_BK | batch.own_class(self.target_K)
        return Drawn(
            Negatives(self.student_KD.clone(), None, excluded_BK, self.sample_K.clone()),
            Negatives(self.teacher_KD.clone(), None, excluded_BK, self.sample_K.clone()),
        )

    @torch.no_grad()
    def update(self, batch: Elements) -> None:
        keep = slice(max(0, len(batch.target_B) - self.count), None)
        target_B = torch.where(batch.usable_B, batch.target_B, NO_ROW)[keep]
        row_B = (self.next_row + torch.arange(len(target_B), device=target_B.device)) % self.count
        self.student_KD[row_B], self.teacher_KD[row_B] = batch.student_BD[keep], batch.teacher_BD[keep]
        self.target_K[row_B] = target_B
        self.sample_K[row_B] = batch.index_B[keep] if batch.index_B is not None else -1
        self.next_row.copy_((self.next_row + len(target_B)) % self.count)
