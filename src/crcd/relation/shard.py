"""Rows of a bank of which each process holds a share, for banks too large to be held by each as a whole."""

import torch
from torch import Tensor

from crcd import distributed


class Shard:
    """This process's share of N rows: of R processes, number r holds rows r M to (r + 1) M - 1 with M = ceil(N / R).

    What a process holds is one row more, [M + 1, D]: it takes what is written to rows that lie elsewhere, so that
    nothing waits for the device to tell how many these are. All processes must read, write, and collect together.

    Args:
        count: N.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.each = -(-count // distributed.size())
        self.first = distributed.rank() * self.each

    def part(self, whole_ND: Tensor) -> Tensor:
        """This process's rows of the whole, [M + 1, D]."""
        part_MD = whole_ND.new_zeros(self.each + 1, whole_ND.shape[1])
        own = whole_ND[self.first : self.first + self.each]
        part_MD[: len(own)] = own
        return part_MD

    def read(self, part_MD: Tensor, index: Tensor) -> Tensor:
        """Rows of any numbers, the same in all processes: each adds those that it holds to zeros."""
        place, is_own = self._place(index)
        return distributed.add(part_MD[place].masked_fill(~is_own[..., None], 0))

    def write(self, part_MD: Tensor, index: Tensor, rows: Tensor) -> None:
        """Replace rows of any numbers; each process keeps its own."""
        place, _ = self._place(index)
        part_MD[place] = rows

    def collect(self, part_MD: Tensor) -> Tensor:
        """The whole, [N, D], in the first process's main memory, for a checkpoint; nothing, [0, D], in the others'."""
        parts = []
        for sender in range(distributed.size()):
            part = distributed.send(part_MD[: self.each].clone(), sender)
            parts.append(part.cpu() if distributed.rank() == 0 else part[:0].cpu())
        return torch.cat(parts)[: self.count]

    def _place(self, index: Tensor) -> tuple[Tensor, Tensor]:
        place = index - self.first
        is_own = (place >= 0) & (place < self.each)
        return torch.where(is_own, place, self.each), is_own
