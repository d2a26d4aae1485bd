"""Labels of images that are mixed of two."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """Image i of a batch is ``share_B[i]`` of its own sample, the rest is of the sample at ``partner_B[i]``.

    Attributes:
        share_B: 0 to 1; 1 for an image that is not mixed.
        partner_B: place in the batch, int64; i itself where image i is not mixed.
    """

    share_B: Tensor
    partner_B: Tensor

    @property
    def is_mixed(self) -> Tensor:
        """True where an image is of two samples."""
        return self.share_B < 1

    def soft_labels(self, target_B: Tensor, num_classes: int) -> Tensor:
        """y_BC = share * onehot(own class) + (1 - share) * onehot(the partner's class); a class below 0 is unknown."""
        own_BC = (target_B[:, None] == torch.arange(num_classes, device=target_B.device)).float()
        share_B1 = self.share_B[:, None]
        return share_B1 * own_BC + (1 - share_B1) * own_BC[self.partner_B]
