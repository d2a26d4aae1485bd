"""The negatives of one step, as a kernel receives them."""

from dataclasses import dataclass, replace

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

    def of(self, samples: slice) -> "Negatives":
        """Those of some samples of the batch."""
        index_bK = None if self.index_BK is None else self.index_BK[samples]
        excluded_bK = None if self.excluded_BK is None else self.excluded_BK[samples]
        return replace(self, index_BK=index_bK, excluded_BK=excluded_bK)

    def is_anchor(self, anchor_sample_A: Tensor | None, batch: slice) -> Tensor | None:
        """True where negative k of a sample is the anchor j, [b, A, K] for the samples of a slice of the batch.

        One [1, A, K] serves all when negatives are shared; None when samples are not known.
        """
        if anchor_sample_A is None or self.sample is None:
            return None
        sample_bK = self.sample[None] if self.index_BK is None else self.sample[self.index_BK[batch]]
        sample_b1K = sample_bK[:, None]
        return (anchor_sample_A[:, None] == sample_b1K) & (sample_b1K >= 0)

    def count(self, batch: int, anchor_sample_A: Tensor | None, anchors: int) -> Tensor:
        """Usable negatives of every pair, float, [B, A]."""
        usable_BK = self.rows.new_ones(batch, len(self))
        if self.excluded_BK is not None:
            usable_BK = (~self.excluded_BK).to(self.rows.dtype)
        count_BA = usable_BK.sum(dim=1, keepdim=True).repeat(1, anchors)
        if anchor_sample_A is None or self.sample is None:
            return count_BA
        sample_bK = self.sample[None] if self.index_BK is None else self.sample[self.index_BK]
        sorted_A = anchor_sample_A.sort().values
        place_bK = torch.searchsorted(sorted_A, sample_bK).clamp_max(anchors - 1)
        is_anchor_bK = (sorted_A[place_bK] == sample_bK) & (sample_bK >= 0)
        hits_BA = torch.zeros_like(count_BA)
        hits_BA.scatter_add_(1, place_bK.expand(batch, -1), usable_BK * is_anchor_bK)
        return count_BA - hits_BA[:, torch.searchsorted(sorted_A, anchor_sample_A.contiguous())]
