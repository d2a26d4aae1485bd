"""Images of a batch mixed with one another, on whatever device holds them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crcd import distributed
from crcd.relation.mixture import Mixture


@dataclass(frozen=True)
class Mix:
    """mixup (Zhang et al., ICLR 2018) and cutmix (Yun et al., ICCV 2019), image by image.

    A mixed image is lambda of its own pixels and 1 - lambda of its partner's, the image before it in the batch; with
    cutmix, a box of area 1 - lambda whose centre lies anywhere is the partner's, cut off at the edges. Lambda is drawn
    from Beta(alpha, alpha) for each image. The parameters of all images of an epoch are drawn at once, so that they
    are a function of seed and epoch alone.

    Attributes:
        mixup: alpha of mixup; 0 for none.
        cutmix: alpha of cutmix; 0 for none. With both, each mixed image is one or the other, by chance.
        probability: that an image is mixed at all.
    """

    mixup: float
    cutmix: float
    probability: float

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Share of the own pixels outside the box, its top, left, bottom and right as shares of the side, [count, 5].

        Within the box, all is the partner's.
        """
        numbers = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        cut_N = numbers.random(count) < (self.cutmix > 0) / ((self.cutmix > 0) + (self.mixup > 0))
        alpha_N = np.where(cut_N, self.cutmix, self.mixup)
        share_N = np.where(numbers.random(count) < self.probability, numbers.beta(alpha_N, alpha_N), 1.0)
        half_N1 = np.where(cut_N, np.sqrt(1 - share_N) / 2, 0.0)[:, None]
        centre_N2 = numbers.random((count, 2))
        outside_N1 = np.where(cut_N, 1.0, share_N)[:, None]
        parameters_N5 = np.concatenate([outside_N1, centre_N2 - half_N1, centre_N2 + half_N1], axis=1)
        return torch.from_numpy(parameters_N5).float()

    def apply(self, image_BCHW: Tensor, parameters_B5: Tensor) -> tuple[Tensor, Mixture]:
        """The images, and what each of them is made of: the very share of its pixels.

        Args:
            image_BCHW: the batch; where several processes share it, ``share_and_partners`` of it.
            parameters_B5: as drawn, of the whole batch.

        Returns:
            The batch or this process's share of it, and the mixture of the whole.
        """
        outside, top, left, bottom, right = parameters_B5.T[..., None]
        row, column = ((torch.arange(n, device=outside.device) + 0.5) / n for n in image_BCHW.shape[2:])
        rows_BH, columns_BW = (top <= row) & (row < bottom), (left <= column) & (column < right)
        box_BHW = rows_BH[:, :, None] & columns_BW[:, None, :]
        own_BHW = outside[:, :, None] * ~box_BHW
        share_B = outside[:, 0] * (1 - box_BHW.sum(dim=(1, 2)) / box_BHW[0].numel())  # exactly 1 where nothing is mixed
        place_B = torch.arange(len(share_B), device=share_B.device)
        partner_B = torch.where(share_B < 1, place_B.roll(1), place_B)
        whole = distributed.size() == 1
        partner_BCHW, image_BCHW = (image_BCHW.roll(1, 0), image_BCHW) if whole else (image_BCHW[:-1], image_BCHW[1:])
        mixed_BCHW = torch.lerp(partner_BCHW, image_BCHW, distributed.share(own_BHW)[:, None])
        return mixed_BCHW, Mixture(share_B, partner_B)


def share_and_partners(rows: Tensor) -> Tensor:
    """Of the rows of a batch those that this process's share is mixed of: that share, the row before it first.

    In a single process that row is the batch's last, and all are given back as they are.
    """
    if distributed.size() == 1:
        return rows
    return torch.cat([distributed.share(rows.roll(1, 0))[:1], distributed.share(rows)])
