"""Decoding image files, and transforming pictures, batch by batch, ahead of their use, in worker processes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from crcd.data.dataset import Images
from crcd.data.decode import CorruptImageError
from crcd.data.picture import PictureAugment


class Wanted(NamedTuple):
    """One batch to come: sample numbers, and the seed of what is done to each picture, None for nothing."""

    index_B: Tensor
    seed_B: Tensor | None


class _Batches(Dataset[Tensor | CorruptImageError]):
    """What a worker does; an error is handed over whole, as what it is."""

    def __init__(self, images: Images, augment: PictureAugment | None) -> None:
        self.images, self.augment = images, augment

    def __getitem__(self, wanted: Wanted) -> Tensor | CorruptImageError:
        try:
            if self.augment is None or wanted.seed_B is None:
                return self.images.fetch(wanted.index_B)
            return self.augment.fetch(self.images, wanted.index_B, wanted.seed_B)
        except CorruptImageError as error:
            return error


class Decoder:
    """Reads batches of files in any order. Its processes start with the first order and live as long as it does.

    Starting them anew for each epoch costs a tenth of a second where processes are forked, and seconds where a worker
    has to import PyTorch first.

    Args:
        images: the files, or images in memory.
        augment: what is done to each picture.
        workers: processes; 0 decodes in this one.
        pin_memory: give batches that a GPU can copy without the host.
    """

    def __init__(self, images: Images, augment: PictureAugment | None, workers: int, *, pin_memory: bool) -> None:
        self._order: list[Wanted] = []
        self._readings = 0
        self._batches: DataLoader[Tensor | CorruptImageError] = DataLoader(
            _Batches(images, augment),
            batch_size=None,
            sampler=self._order,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            generator=torch.Generator(),  # or it would draw from the global one
        )

    def __call__(self, order: Sequence[Wanted]) -> Iterator[Tensor]:
        """Images of each batch, uint8, [B, C, H, W]; an order begun before is given up.

        Raises:
            CorruptImageError: a file can't be decoded.
        """
        self._order[:] = order
        self._readings += 1
        reading = self._readings
        for pixels in self._batches:
            if reading != self._readings:
                raise RuntimeError("another order was begun: read one at a time")
            if isinstance(pixels, CorruptImageError):
                raise pixels
            yield pixels
