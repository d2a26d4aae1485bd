"""Batches of a data set, in an order and with augmentations that depend on seed and epoch alone."""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from crcd import distributed
from crcd.data.augment import CropFlip
from crcd.data.batch import Batch
from crcd.data.dataset import Images, TensorImages
from crcd.data.decoder import Decoder
from crcd.data.encoded import EncodedImages
from crcd.errors import CrcdError

POOL_SEED = 0
"""Of a fixed pool of augmentations, whatever the run's seed is: runs of several seeds share a teacher's cache."""


class Inputs(NamedTuple):
    """What one batch is made from, on the device; ``Loader.batch`` is a pure function of it.

    Of several processes each holds pixels and parameters of its share of the batch.

    Attributes:
        index_B: sample numbers of the whole batch.
        pixels_BCHW: decoded files; None where the images lie in memory, to be gathered by number.
        parameters_B3: of the augmentation; None without one.
        pool_view_B: which of the pool's augmentations each sample shows; None without a pool.
    """

    index_B: Tensor
    pixels_BCHW: Tensor | None
    parameters_B3: Tensor | None
    pool_view_B: Tensor | None

    def clone(self) -> "Inputs":
        """The same in memory of its own."""
        return Inputs._make(None if tensor is None else tensor.clone() for tensor in self)

    def copy_(self, other: "Inputs") -> None:
        """Take over another batch's, in this one's memory."""
        for own, new in zip(self, other, strict=True):
            if own is not None and new is not None:
                own.copy_(new, non_blocking=True)


class Loader:
    """Batches on a device: uint8 images, gathered or decoded, augmented and normalised there.

    Training batches are shuffled and all of one size: the images left over at the end of an epoch's order wait for
    another epoch. Scoring batches come in order, without augmentation, the last one smaller.

    Several processes draw the same order and augmentations, and each makes the images of its share of every batch.

    Args:
        images: the images.
        batch_size: B, of all processes together.
        augment: what is done to training images; None for nothing.
        mean: of each channel, for pixels scaled to [0, 1].
        std: likewise.
        device: where the batches are made.
        seed: with the epoch it decides order and augmentation.
        train: training or scoring.
        workers: processes that decode files.
        pool: number R of augmentations that each training image has, the same whatever the seed is; an epoch shows
            each image in one of them, chosen at random. None draws a new augmentation every epoch.

    Raises:
        CrcdError: a training batch of fewer than two samples, of more than there are, or that the processes can't
            divide evenly.
    """

    def __init__(
        self,
        images: Images,
        batch_size: int,
        *,
        augment: CropFlip | None,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        device: torch.device,
        seed: int,
        train: bool,
        workers: int = 0,
        pool: int | None = None,
    ) -> None:
        if train and batch_size < 2:
            raise CrcdError(f"batch size {batch_size}: relations and batch normalisation need two samples or more")
        if train and batch_size > len(images):
            raise CrcdError(f"batch size {batch_size} is more than the {len(images)} training images: make it smaller")
        if train and batch_size % distributed.size():
            several = distributed.size()
            raise CrcdError(
                f"batch size {batch_size} can't be divided among {several} processes: give a multiple of that"
            )
        self.images = images.to(device) if isinstance(images, TensorImages) else images
        self.labels_N = images.labels.to(device)
        self.decoder: Decoder | None = None
        if isinstance(images, EncodedImages):
            self.decoder = Decoder(images, workers, pin_memory=device.type == "cuda")
        self.batch_size, self.device, self.seed, self.train = batch_size, device, seed, train
        self.augment = augment if train else None
        self.mean, self.std = mean, std
        self.scale_C11 = (1 / (255 * torch.tensor(std)))[:, None, None].to(device)
        self.shift_C11 = (torch.tensor(mean) / torch.tensor(std))[:, None, None].to(device)
        self.pool_RN3: Tensor | None = None
        if pool is not None and self.augment is not None:
            generator = torch.Generator().manual_seed(POOL_SEED)
            views = [self.augment.draw(len(images), generator) for _ in range(pool)]  # view r is the same for any R > r
            self.pool_RN3 = torch.stack(views).to(device)

    def __len__(self) -> int:
        """Steps an epoch."""
        n = len(self.images)
        return n // self.batch_size if self.train else -(-n // self.batch_size)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from ``start_step`` on, the same whenever they are asked for."""
        return map(self.batch, self.inputs(epoch, start_step))

    def inputs(self, epoch: int, start_step: int = 0) -> Iterator[Inputs]:
        """What those batches are made from. Nothing but the epoch's order and augmentations leaves the host."""
        mixed = np.random.SeedSequence([self.seed, epoch]).generate_state(1)
        generator = torch.Generator().manual_seed(int(mixed[0]))
        n = len(self.images)
        order_N = torch.randperm(n, generator=generator) if self.train else torch.arange(n)
        parameters_N3 = pool_view_N = None
        if self.pool_RN3 is not None:
            pool_view_N = self._to_device(torch.randint(len(self.pool_RN3), (n,), generator=generator))
        elif self.augment is not None:
            parameters_N3 = self._to_device(self.augment.draw(n, generator))
        return self._split(order_N, parameters_N3, pool_view_N, slice(start_step, len(self)))

    def pool_inputs(self, view: int, start_step: int = 0) -> Iterator[Inputs]:
        """All training images in order, each in one and the same view of the pool; the last batch may be smaller."""
        n = len(self.images)
        pool_view_N = self._to_device(torch.full((n,), view))
        return self._split(torch.arange(n), None, pool_view_N, slice(start_step, None))

    def pool_identity(self) -> dict[str, str]:
        """What a view of the pool shows, in words and hashes, the same for every R and seed."""
        assert self.pool_RN3 is not None
        first = hashlib.sha256(self.pool_RN3[0].cpu().numpy().data).hexdigest()  # of how the views are drawn
        return {
            "images": f"{len(self.images)} of {'x'.join(map(str, self.images.shape))}, {self.images.digest()}",
            "normalisation": f"mean {self.mean}, std {self.std}",
            "augmentation": f"{self.augment}, seed {POOL_SEED}, {first}",
        }

    def _split(
        self, order_N: Tensor, parameters_N3: Tensor | None, pool_view_N: Tensor | None, steps: slice
    ) -> Iterator[Inputs]:
        """Batches of an order of all images, whose augmentations are given by sample."""
        decoded = None
        if self.decoder is not None:
            decoded = self.decoder([distributed.share(index_B) for index_B in order_N.split(self.batch_size)[steps]])
        for index_B in self._to_device(order_N).split(self.batch_size)[steps]:
            pool_view_B = None if pool_view_N is None else pool_view_N[index_B]
            own_B = distributed.share(index_B)
            parameters_B3 = None if parameters_N3 is None else parameters_N3[own_B]
            if self.pool_RN3 is not None and pool_view_N is not None:
                parameters_B3 = self.pool_RN3[pool_view_N[own_B], own_B]
            pixels_BCHW = None if decoded is None else next(decoded).to(self.device, non_blocking=True)
            yield Inputs(index_B, pixels_BCHW, parameters_B3, pool_view_B)

    def batch(self, inputs: Inputs) -> Batch:
        """One batch. All of it happens on the device, without waiting for it."""
        index_B, image_BCHW, parameters_B3, pool_view_B = inputs
        if image_BCHW is None:
            image_BCHW = self.images.fetch(distributed.share(index_B))
        if self.augment is not None and parameters_B3 is not None:
            image_BCHW = self.augment.apply(image_BCHW, parameters_B3)
        image = torch.addcmul(-self.shift_C11, image_BCHW.float(), self.scale_C11)
        image = image.contiguous(memory_format=torch.channels_last)
        return Batch(image, self.labels_N[index_B], index_B, pool_view_B)

    def _to_device(self, drawn: Tensor) -> Tensor:
        """A copy on the device that the host does not wait for."""
        pinned = drawn.pin_memory() if self.device.type == "cuda" else drawn
        return pinned.to(self.device, non_blocking=True)
