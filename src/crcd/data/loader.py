"""Batches of a data set, in an order and with augmentations that depend on seed and epoch alone."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from crcd.data.augment import Augmentation
from crcd.data.batch import Batch
from crcd.data.dataset import FolderImages, Images, TensorImages
from crcd.errors import CrcdError


class _Decoding(Dataset[tuple[Tensor, int]]):
    """Files of a folder one by one, for worker processes."""

    def __init__(self, images: FolderImages) -> None:
        self.images = images

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.images.fetch(torch.tensor([i]))[0], i


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
        chunks = order_N.to(self.device).split(self.batch_size)[start_step : len(self)]
        for index_B, pixels in zip(chunks, self._pixels(order_N, start_step), strict=True):
            image = pixels
            for augmentation, parameters_NP in zip(self.augment, drawn, strict=True):
                image = augmentation.apply(image, parameters_NP[index_B])
            image = torch.addcmul(-self.shift_C11, image.float(), self.scale_C11)
            yield Batch(image.contiguous(memory_format=torch.channels_last), self.labels_N[index_B], index_B)

    def _pixels(self, order_N: Tensor, start_step: int) -> Iterator[Tensor]:
        chunks = order_N.split(self.batch_size)[start_step : len(self)]
        if not isinstance(self.images, FolderImages):
            for index_B in order_N.to(self.device).split(self.batch_size)[start_step : len(self)]:
                yield self.images.fetch(index_B)
            return
        batches: DataLoader[tuple[Tensor, int]] = DataLoader(
            _Decoding(self.images),
            batch_sampler=[chunk.tolist() for chunk in chunks],
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
        )
        for pixels, _ in batches:
            yield pixels.to(self.device, non_blocking=True)
