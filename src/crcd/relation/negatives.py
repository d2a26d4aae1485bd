"""The negatives of one step, as a kernel receives them."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Negatives:
    """K negatives a sample, either shared by the batch or each sample's own.

    Shared: every row of ``rows`` serves every sample, [K, D]. Per sample: ``index_BK`` picks rows of a bank [N, D];
    the [B, K, D] block is never made whole.

    Attributes:
        rows: embedded elements, [K, D] or the bank [N, D].
        index_BK: rows that sample i uses; None when all rows are shared.
        excluded_BK: True where negative k must not be used for sample i (its own class, itself); None for nowhere.
        sample: sample number of each row, [K] or [N], with which negatives that equal an anchor are recognised;
            None when it is not known. -1 stands for an unknown sample.
    """

    rows: Tensor
    index_BK: Tensor | None = None
    excluded_BK: Tensor | None = None
    sample: Tensor | None = None

    def __len__(self) -> int:
        """K."""
        return self.rows.shape[0] if self.index_BK is None else self.index_BK.shape[1]

    def is_anchor(self, anchor_sample_A: Tensor | None, i: int) -> Tensor | None:
        """True where negative k of sample i is the anchor j, [A, K]; None when samples are not known."""
        if anchor_sample_A is None or self.sample is None:
            return None
        sample_K = self.sample if self.index_BK is None else self.sample[self.index_BK[i]]
        return (anchor_sample_A[:, None] == sample_K) & (sample_K >= 0)

    def count(self, batch: int, anchor_sample_A: Tensor | None, anchors: int) -> Tensor:
        """Usable negatives of every pair, float, [B, A]."""
        shape_BA = (batch, anchors)
        if self.index_BK is None:
            usable_BK = (
                self.rows.new_ones(batch, len(self))
                if self.excluded_BK is None
                else 1.0 - self.excluded_BK.to(self.rows.dtype)
            )
            is_anchor_AK = self.is_anchor(anchor_sample_A, 0)
            if is_anchor_AK is None:
                return usable_BK.sum(dim=1, keepdim=True).expand(shape_BA)
            return usable_BK @ (~is_anchor_AK).to(self.rows.dtype).T
        count_BA = self.rows.new_empty(shape_BA)
        for i in range(batch):
            usable_AK = torch.ones(anchors, len(self), dtype=torch.bool, device=self.rows.device)
            if self.excluded_BK is not None:
                usable_AK &= ~self.excluded_BK[i]
            is_anchor_AK = self.is_anchor(anchor_sample_A, i)
            if is_anchor_AK is not None:
                usable_AK &= ~is_anchor_AK
            count_BA[i] = usable_AK.sum(dim=1)
        return count_BA
