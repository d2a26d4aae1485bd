"""Batches of a data set, in an order and with augmentations that depend on seed and epoch alone."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from crcd.data.augment import Augmentation
from crcd.data.batch import Batch
from crcd.data.dataset import FolderImages, Images, TensorImages
from crcd.data.decode import CorruptImageError
from crcd.errors import CrcdError


class _Decoding(Dataset[Tensor | CorruptImageError]):
    """Batches of a folder's files, for worker processes; an error is handed over whole, as what it is."""

    def __init__(self, images: FolderImages) -> None:
        self.images = images

    def __getitem__(self, index_B: Tensor) -> Tensor | CorruptImageError:
        try:
            return self.images.fetch(index_B)
        except CorruptImageError as error:
            return error


class Loader:
    """Batches on a device: uint8 images, gathered or decoded, augmented and normalised there.

    Training batches are shuffled and all of one size: the images left over at the end of an epoch's order wait for
    another epoch. Scoring batches come in order, without augmentation, the last one smaller.

    Args:
        images: the images.
        batch_size: B.
        augment: what is done to training images, in turn.
        mean: of each channel, for pixels scaled to [0, 1].
        std: likewise.
        device: where the batches are made.
        seed: with the epoch it decides order and augmentation.
        train: training or scoring.
        workers: processes that decode files.

    Raises:
        CrcdError: a training batch of fewer than two samples, or of more than there are.
    """

    def __init__(
        self,
        images: Images,
        batch_size: int,
        *,
        augment: Sequence[Augmentation] | None,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        device: torch.device,
        seed: int,
        train: bool,
        workers: int = 0,
    ) -> None:
        if train and batch_size < 2:
            raise CrcdError(f"batch size {batch_size}: relations and batch normalisation need two samples or more")
        if train and batch_size > len(images):
            raise CrcdError(f"batch size {batch_size} is more than the {len(images)} training images: make it smaller")
        self.images = images.to(device) if isinstance(images, TensorImages) else images
        self.labels_N = images.labels.to(device)
        self.batch_size, self.device, self.seed, self.train, self.workers = batch_size, device, seed, train, workers
        self.augment = list(augment or ()) if train else []
        self.scale_C11 = (1 / (255 * torch.tensor(std)))[:, None, None].to(device)
        self.shift_C11 = (torch.tensor(mean) / torch.tensor(std))[:, None, None].to(device)

    def __len__(self) -> int:
        """Steps an epoch."""
        n = len(self.images)
        return n // self.batch_size if self.train else -(-n // self.batch_size)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from ``start_step`` on, the same whenever they are asked for."""
        mixed = np.random.SeedSequence([self.seed, epoch]).generate_state(1)
        generator = torch.Generator().manual_seed(int(mixed[0]))
        n = len(self.images)
        order_N = torch.randperm(n, generator=generator) if self.train else torch.arange(n)
        drawn = [a.draw(n, generator).to(self.device) for a in self.augment]
        steps = slice(start_step, len(self))
        chunks = order_N.to(self.device).split(self.batch_size)[steps]
        if isinstance(self.images, FolderImages):
            images = self._decoded(self.images, order_N.split(self.batch_size)[steps])
        else:
            images = map(self.images.fetch, chunks)
        for index_B, image in zip(chunks, images, strict=True):
            for augmentation, parameters_NP in zip(self.augment, drawn, strict=True):
                image = augmentation.apply(image, parameters_NP[index_B])
            image = torch.addcmul(-self.shift_C11, image.float(), self.scale_C11)
            yield Batch(image.contiguous(memory_format=torch.channels_last), self.labels_N[index_B], index_B)

    def _decoded(self, images: FolderImages, chunks: Sequence[Tensor]) -> Iterator[Tensor]:
        batches: DataLoader[Tensor | CorruptImageError] = DataLoader(
            _Decoding(images),
            batch_size=None,
            sampler=chunks,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # or it would draw from the global one
        )
        for pixels in batches:
            if isinstance(pixels, CorruptImageError):
                raise pixels
            yield pixels.to(self.device, non_blocking=True)
