"""Negatives from a bank with a row for every sample."""

import logging
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from crcd import distributed
from crcd.errors import CrcdError
from crcd.relation.negatives import Negatives
from crcd.relation.shard import Shard
from crcd.relation.source import Drawn, Elements, NegativeSource

log = logging.getLogger(__name__)


@cache
def _say_fewer(count: int, available: int, kind: str) -> None:
    """Once, however many banks there are."""
    log.warning("the settings have %d negatives, the data only %d %s: that many are drawn", count, available, kind)


class Bank(NegativeSource):
    """Rows of all N samples: row <- momentum * row + (1 - momentum) * new; a first visit replaces.

    Rows are drawn by strata: of the M rows that may be drawn, draw k is uniform in [k M / K, (k + 1) M / K), so that
    the K rows are distinct but for neighbours and each row has the same chance.

    Args:
        labels_N: class of every sample, below 0 where it is not known.
        widths: of the student's rows and of the teacher's.
        count: K; where every sample has fewer others that it may use, as many as it has.
        exact: True leaves out the sample's own class, False only the sample itself; of a mixed image, both of its own.
            An unknown class is nobody's own: such samples are negatives of all but themselves, and have all others.
        shared: True draws K rows for the whole batch and masks what a sample must not use (3 to 6 times cheaper);
            False draws K rows for each sample from those that it may use.
        momentum: of the rows.
        unit: True for embeddings: rows are brought to length 1, and random ones stand for samples not met yet (CRD's
            memory). False for elements of any length: a sample is no negative before it is met.
        unlabelled: whether samples of unknown class are drawn; else their rows are never used.
        half: keep the rows in float16 (a relative error of up to 2^-11); what is read of them is float32.
        sharded: of several processes each keeps its share of the rows (``Shard``), which is then what
            ``student_ND`` and ``teacher_ND`` hold; the state has all rows in any case. False: each keeps all rows,
            and the copies stay alike, since all draw alike and remember the whole batch.

    Raises:
        CrcdError: no sample has a negative, or ``half`` or ``sharded`` without ``shared``.
    """

    labels_N: Tensor
    student_ND: Tensor
    teacher_ND: Tensor
    seen_N: Tensor
    drawn_M: Tensor
    order_M: Tensor
    place_N: Tensor
    first_C: Tensor
    size_C: Tensor

    def __init__(
        self,
        labels_N: Tensor,
        widths: tuple[int, int],
        count: int,
        *,
        exact: bool,
        shared: bool,
        momentum: float,
        unit: bool,
        unlabelled: bool = True,
        half: bool = False,
        sharded: bool = False,
    ) -> None:
        super().__init__()
        n = len(labels_N)
        drawn_M = torch.arange(n, device=labels_N.device)
        self.all_labelled = bool((labels_N >= 0).all())
        if not (unlabelled or self.all_labelled):
            drawn_M = drawn_M[labels_N >= 0]
        size_C = torch.bincount(labels_N[labels_N >= 0])
        available = len(drawn_M) - (max([1, *size_C.tolist()]) if exact else 1)
        if available < 1:
            raise CrcdError("a bank needs samples of two classes or more: none has a negative")
        if count > available:
            _say_fewer(count, available, "samples of other classes" if exact else "other samples")
        if (half or sharded) and not shared:
            raise CrcdError(
                "negatives of each sample's own are drawn from a bank that is whole and in float32: set shared, or "
                "bank_precision to float32 and bank_rows to replicated"
            )
        self.count, self.exact, self.shared = min(count, available), exact, shared
        self.momentum, self.unit = momentum, unit
        self.shard = Shard(n) if sharded and distributed.size() > 1 else None
        for side, width in zip(("student", "teacher"), widths, strict=True):
            rows_ND = F.normalize(torch.randn(n, width), dim=1) if unit else torch.zeros(n, width)
            rows_ND = rows_ND.half() if half else rows_ND
            self.register_buffer(f"{side}_ND", rows_ND if self.shard is None else self.shard.part(rows_ND))
        self.register_buffer("seen_N", torch.zeros(n, dtype=torch.bool))
        self.register_buffer("labels_N", labels_N.clone(), persistent=False)
        self.register_buffer("drawn_M", drawn_M, persistent=False)
        if shared:
            return
        order_M = drawn_M[labels_N[drawn_M].argsort(stable=True)] if exact else drawn_M
        self.register_buffer("order_M", order_M, persistent=False)
        place_N = torch.full_like(labels_N, n).scatter(0, order_M, torch.arange(len(order_M), device=order_M.device))
        self.register_buffer("place_N", place_N, persistent=False)
        first_C = size_C.cumsum(0) - size_C + len(order_M) - size_C.sum()  # those of unknown class come first
        self.register_buffer("first_C", first_C, persistent=False)
        self.register_buffer("size_C", size_C, persistent=False)

    def draw(self, batch: Elements) -> Drawn:
        index_B = self._index(batch)
        if self.shared:
            row_K = self.draw_rows(self.count)
            own_BK = self._own(batch, row_K)
            student_KD, teacher_KD = self.rows(row_K)
            return Drawn(Negatives(student_KD, None, own_BK, row_K), Negatives(teacher_KD, None, own_BK, row_K))
        first_B = self.place_N[index_B]
        own_B = (first_B < len(self.order_M)).long()
        if self.exact:
            known_B, class_B = batch.target_B >= 0, batch.target_B.clamp_min(0)
            first_B = torch.where(known_B, self.first_C[class_B], first_B)
            own_B = torch.where(known_B, self.size_C[class_B], own_B)
        place_BK = _strata(len(self.order_M) - own_B[:, None], self.count)
        place_BK += (place_BK >= first_B[:, None]) * own_B[:, None]
        row_BK = self.order_M[place_BK]
        excluded_BK = None  # itself is not drawn
        if batch.partner_B is not None or not self.unit:
            excluded_BK = self._own(batch, row_BK)
        sample_R, index_BK = torch.arange(len(self.labels_N), device=row_BK.device), row_BK
        if row_BK.numel() < len(self.labels_N):  # fewer to embed than all rows
            sample_R, index_BK = row_BK.flatten(), torch.arange(row_BK.numel(), device=row_BK.device).view_as(row_BK)
        student_RD, teacher_RD = self.rows(sample_R)  # copies: the bank changes before the backward pass reads them
        return Drawn(
            Negatives(student_RD, index_BK, excluded_BK, sample_R),
            Negatives(teacher_RD, index_BK, excluded_BK, sample_R),
        )

    def _own(self, batch: Elements, row_K: Tensor) -> Tensor:
        """True for rows that are no negatives of a sample, [B, K]."""
        own_BK = batch.own_class(self.labels_N[row_K]) if self.exact else batch.own_sample(row_K)
        if self.exact and not self.all_labelled:
            own_BK = own_BK | batch.own_sample(row_K)
        return own_BK if self.unit else own_BK | ~self.has(row_K)

    def rows(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Student and teacher rows of the given samples, in float32 at least."""
        return self._read(self.student_ND, index), self._read(self.teacher_ND, index)

    def has(self, index: Tensor) -> Tensor:
        """Whether the given samples have a row that means something."""
        return torch.ones_like(index, dtype=torch.bool) if self.unit else self.seen_N[index]

    def _read(self, rows_ND: Tensor, index: Tensor) -> Tensor:
        rows = rows_ND[index] if self.shard is None else self.shard.read(rows_ND, index)
        return rows.to(torch.promote_types(rows.dtype, torch.float32))

    def draw_rows(self, count: int) -> Tensor:
        """``count`` numbers of samples that may be drawn, [count]."""
        return self.drawn_M[_strata(torch.full((1, 1), len(self.drawn_M), device=self.drawn_M.device), count)[0]]

    @torch.no_grad()
    def update(self, batch: Elements) -> None:
        index_B = self._index(batch)
        last_B = _last_usable(index_B, batch.usable_B)
        usable_B = batch.usable_B[last_B]
        old_B1 = (self.seen_N[index_B] * self.momentum)[:, None]
        for rows_ND, new_BD in ((self.student_ND, batch.student_BD), (self.teacher_ND, batch.teacher_BD)):
            old_BD = self._read(rows_ND, index_B)
            mixed_BD = old_B1 * old_BD + (1 - old_B1) * new_BD[last_B]
            mixed_BD = F.normalize(mixed_BD, dim=1) if self.unit else mixed_BD
            new_BD = torch.where(usable_B[:, None], mixed_BD, old_BD).to(rows_ND.dtype)
            if self.shard is None:
                rows_ND[index_B] = new_BD
            else:
                self.shard.write(rows_ND, index_B, new_BD)
        self.seen_N[index_B] |= usable_B

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.shard is not None:
            for side in ("student", "teacher"):
                destination[f"{prefix}{side}_ND"] = self.shard.collect(getattr(self, f"{side}_ND"))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        names = [f"{prefix}{side}_ND" for side in ("student", "teacher")]
        if self.shard is not None:
            state_dict = state_dict | {name: self.shard.part(state_dict[name]) for name in names if name in state_dict}
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def _index(self, batch: Elements) -> Tensor:
        if batch.index_B is None:
            raise CrcdError("a bank needs each sample's number: pass index, or take negatives from 'queue' or 'batch'")
        return batch.index_B


def _last_usable(index_B: Tensor, usable_B: Tensor) -> Tensor:
    """Place of each sample's last usable element in the batch, for a sample that comes twice; its own if there is none.

    All elements of a sample then give its row the same value, in whatever order they are written.
    """
    place_B = torch.arange(len(index_B), device=index_B.device)
    later_BB = (index_B == index_B[:, None]) & usable_B
    last_B = torch.where(later_BB, place_B, -1).amax(dim=1)
    return torch.where(last_B < 0, place_B, last_B)


def _strata(size_R1: Tensor, count: int) -> Tensor:
    """One number of each of ``count`` equal strata of 0 .. size - 1, for every row, [R, count]."""
    u_RK = torch.rand(len(size_R1), count, device=size_R1.device)
    place_RK = (torch.arange(count, device=size_R1.device) + u_RK.double()) * size_R1 / count
    return torch.minimum(place_RK.long(), size_R1 - 1)
