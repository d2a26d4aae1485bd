"""Where a step's negatives come from: a bank with a row for every sample, a queue, or the batch itself.

Every source keeps the embedded elements of student and teacher side by side, since the student's term takes teacher
rows and the mirrored term student rows. All drawing happens on the device that holds the rows, with torch's own
random numbers.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crcd.errors import CrcdError
from crcd.relation.negatives import Negatives


class Elements(NamedTuple):
    """Embedded elements of one batch, detached unit rows, and which samples they are.

    Attributes:
        student_BD: s.
        teacher_BD: t.
        target_B: classes.
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

    def own(self, name_B: Tensor, name_K: Tensor) -> Tensor:
        """True where a row's name, of [K] or [B, K], is that of the sample or of its partner, [B, K]."""
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


class Bank(NegativeSource):
    """Elements of all N samples: row <- l2norm(momentum * row + (1 - momentum) * new); a first visit replaces.

    Rows are drawn by strata: of the M rows that may be drawn, draw k is uniform in [k M / K, (k + 1) M / K), so that
    the K rows are distinct but for neighbours and each row has the same chance.

    Args:
        labels_N: class of every sample.
        dim: D.
        count: K.
        exact: True leaves out the sample's own class, False only the sample itself; of a mixed image, both of its own.
        shared: True draws K rows for the whole batch and masks what a sample must not use (3 to 6 times cheaper);
            False draws K rows for each sample from those that it may use.
        momentum: of the rows.
    """

    labels_N: Tensor
    student_ND: Tensor
    teacher_ND: Tensor
    seen_N: Tensor
    by_class_N: Tensor
    first_C: Tensor
    size_C: Tensor

    def __init__(self, labels_N: Tensor, dim: int, count: int, *, exact: bool, shared: bool, momentum: float) -> None:
        super().__init__()
        n = len(labels_N)
        size_C = torch.bincount(labels_N)
        available = n - (int(size_C.max()) if exact else 1)
        if not 1 <= count <= available:
            raise CrcdError(
                f"{count} negatives were asked for, but there are only {available} "
                f"{'samples of other classes' if exact else 'other samples'} to draw from: "
                f"set negatives (--crcd.negatives, --crd.negatives) to {available} or less"
            )
        self.count, self.exact, self.shared, self.momentum = count, exact, shared, momentum
        for side in ("student", "teacher"):
            self.register_buffer(f"{side}_ND", F.normalize(torch.randn(n, dim), dim=1))
        self.register_buffer("seen_N", torch.zeros(n, dtype=torch.bool))
        self.register_buffer("labels_N", labels_N.clone(), persistent=False)
        self.register_buffer("by_class_N", labels_N.argsort(stable=True), persistent=False)
        self.register_buffer("first_C", size_C.cumsum(0) - size_C, persistent=False)
        self.register_buffer("size_C", size_C, persistent=False)

    def draw(self, batch: Elements) -> Drawn:
        index_B = self._index(batch)
        n = len(self.labels_N)
        if self.shared:
            row_K = self.draw_rows(self.count)
            excluded_BK = batch.own(batch.target_B, self.labels_N[row_K]) if self.exact else batch.own(index_B, row_K)
            return Drawn(
                Negatives(self.student_ND[row_K], None, excluded_BK, row_K),
                Negatives(self.teacher_ND[row_K], None, excluded_BK, row_K),
            )
        if self.exact:
            own_B1 = self.size_C[batch.target_B][:, None]
            place_BK = _strata(n - own_B1, self.count)
            place_BK += (place_BK >= self.first_C[batch.target_B][:, None]) * own_B1
            row_BK = self.by_class_N[place_BK]
        else:
            row_BK = _strata(torch.full_like(index_B, n - 1)[:, None], self.count)
            row_BK += row_BK >= index_B[:, None]
        partners_BK = None  # the sample's own are not drawn
        if batch.partner_B is not None:
            partners_BK = batch.own(batch.target_B, self.labels_N[row_BK]) if self.exact else batch.own(index_B, row_BK)
        sample_N = torch.arange(n, device=row_BK.device)
        return Drawn(
            Negatives(self.student_ND, row_BK, partners_BK, sample_N),
            Negatives(self.teacher_ND, row_BK, partners_BK, sample_N),
        )

    def rows(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Student and teacher rows of the given samples."""
        return self.student_ND[index], self.teacher_ND[index]

    def draw_rows(self, count: int) -> Tensor:
        """``count`` of all sample numbers, [count]."""
        return _strata(torch.full((1, 1), len(self.labels_N), device=self.labels_N.device), count)[0]

    @torch.no_grad()
    def update(self, batch: Elements) -> None:
        index_B = self._index(batch)
        old_B1 = (self.seen_N[index_B] * self.momentum)[:, None]
        for rows_ND, new_BD in ((self.student_ND, batch.student_BD), (self.teacher_ND, batch.teacher_BD)):
            old_BD = rows_ND[index_B]
            mixed_BD = F.normalize(old_B1 * old_BD + (1 - old_B1) * new_BD, dim=1)
            rows_ND[index_B] = torch.where(batch.usable_B[:, None], mixed_BD, old_BD)
        self.seen_N[index_B] |= batch.usable_B

    def _index(self, batch: Elements) -> Tensor:
        if batch.index_B is None:
            raise CrcdError("a bank needs each sample's number: pass index, or take negatives from 'queue' or 'batch'")
        return batch.index_B


def _strata(size_R1: Tensor, count: int) -> Tensor:
    """One number of each of ``count`` equal strata of 0 .. size - 1, for every row, [R, count]."""
    u_RK = torch.rand(len(size_R1), count, device=size_R1.device)
    place_RK = (torch.arange(count, device=size_R1.device) + u_RK.double()) * size_R1 / count
    return torch.minimum(place_RK.long(), size_R1 - 1)


class Queue(NegativeSource):
    """The last K elements, first in first out; needs no sample number (but uses one that is given).

    Args:
        dim: D.
        count: K; until as many have passed, there are fewer negatives.
        exact: True leaves out the sample's own class; False, what is known to be the sample itself.
    """

    student_KD: Tensor
    teacher_KD: Tensor
    target_K: Tensor
    sample_K: Tensor
    next_row: Tensor

    def __init__(self, dim: int, count: int, *, exact: bool) -> None:
        super().__init__()
        self.count, self.exact = count, exact
        for side in ("student", "teacher"):
            self.register_buffer(f"{side}_KD", F.normalize(torch.randn(count, dim), dim=1))
        self.register_buffer("target_K", torch.full((count,), -1))
        self.register_buffer("sample_K", torch.full((count,), -1))
        self.register_buffer("next_row", torch.zeros((), dtype=torch.long))

    def draw(self, batch: Elements) -> Drawn:
        if self.exact or batch.index_B is None:
            excluded_BK = (
                batch.own(batch.target_B, self.target_K)
                if self.exact
                else torch.zeros(len(batch.target_B), self.count, dtype=torch.bool, device=self.target_K.device)
            )
        else:
            excluded_BK = batch.own(batch.index_B, self.sample_K)
        excluded_BK = excluded_BK | (self.target_K < 0)
        return Drawn(
            Negatives(self.student_KD.clone(), None, excluded_BK, self.sample_K.clone()),
            Negatives(self.teacher_KD.clone(), None, excluded_BK, self.sample_K.clone()),
        )

    @torch.no_grad()
    def update(self, batch: Elements) -> None:
        keep = slice(max(0, len(batch.target_B) - self.count), None)
        target_B = torch.where(batch.usable_B, batch.target_B, -1)[keep]
        row_B = (self.next_row + torch.arange(len(target_B), device=target_B.device)) % self.count
        self.student_KD[row_B], self.teacher_KD[row_B] = batch.student_BD[keep], batch.teacher_BD[keep]
        self.target_K[row_B] = target_B
        self.sample_K[row_B] = batch.index_B[keep] if batch.index_B is not None else -1
        self.next_row.copy_((self.next_row + len(target_B)) % self.count)


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
        name_B = batch.target_B if self.exact else place_B
        excluded_BB = batch.own(name_B, name_B) | ~batch.usable_B
        sample_B = place_B if batch.index_B is None else batch.index_B
        return Drawn(
            Negatives(batch.student_BD, None, excluded_BB, sample_B),
            Negatives(batch.teacher_BD, None, excluded_BB, sample_B),
        )
