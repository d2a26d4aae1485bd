"""Batches of a data set, in an order and with augmentations that depend on seed and epoch alone."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch
import torchvision
from torch import Tensor

from crcd import distributed
from crcd.data.augment import CropFlip
from crcd.data.balance import balanced_order
from crcd.data.batch import Batch
from crcd.data.dataset import UNLABELLED, Images, TensorImages
from crcd.data.decoder import Decoder, Wanted
from crcd.data.encoded import EncodedImages
from crcd.data.erasing import Erasing
from crcd.data.mix import Mix, share_and_partners
from crcd.data.picture import PictureAugment
from crcd.data.resized_crop import ResizedCropFlip
from crcd.errors import CrcdError

POOL_SEED = 0
"""Of a fixed pool of augmentations, whatever the run's seed is: runs of several seeds share a teacher's cache."""


class Inputs(NamedTuple):
    """What one batch is made from, on the device; ``Loader.batch`` is a pure function of it.

    Of several processes each holds pixels and parameters of the images that it makes: its share of the batch and, where
    images are mixed, the partners of that (``share_and_partners``).

    Attributes:
        index_B: sample numbers of the whole batch.
        pixels_BCHW: decoded files; None where the images lie in memory, to be gathered by number.
        parameters_BP: of the augmentation; None without one.
        pool_view_B: which of the pool's augmentations each sample shows; None without a pool.
        mix_B5: how the whole batch is mixed; None for not at all.
        box_B4: what is erased; None for nothing.
    """

    index_B: Tensor
    pixels_BCHW: Tensor | None
    parameters_BP: Tensor | None
    pool_view_B: Tensor | None
    mix_B5: Tensor | None
    box_B4: Tensor | None

    def clone(self) -> "Inputs":
        """The same in memory of its own."""
        return Inputs._make(None if tensor is None else tensor.clone() for tensor in self)

    def copy_(self, other: "Inputs") -> None:
        """Take over another batch's, in this one's memory."""
        for own, new in zip(self, other, strict=True):
            if own is not None and new is not None:
                own.copy_(new, non_blocking=True)


class _Order(NamedTuple):
    """The images of an epoch, place by place, on the host.

    Attributes:
        index_N: sample numbers.
        parameters_NP: as in ``Inputs``.
        pool_view_N: likewise.
        mix_N5: likewise.
        box_N4: likewise.
        seed_N: of what is done to each picture; None for nothing.
    """

    index_N: Tensor
    parameters_NP: Tensor | None
    pool_view_N: Tensor | None
    mix_N5: Tensor | None
    box_N4: Tensor | None
    seed_N: Tensor | None


class Loader:
    """Batches on a device: uint8 images, gathered or decoded, augmented and normalised there.

    Training batches are shuffled and all of one size: the images left over at the end of an epoch's order wait for
    another epoch. Scoring batches come in order, without augmentation, the last one smaller.

    Several processes draw the same order and augmentations, and each makes the images of its share of every batch.

    Args:
        images: the images.
        batch_size: B, of all processes together.
        augment: what is done to batches of training images on the device; None for nothing.
        picture: what is done before to each training picture by itself, on the host; None for nothing.
        erasing: boxes of training images that are blanked out once they are normalised; None for none.
        mix: how training images of a batch are mixed at last; None for not at all.
        mean: of each channel, for pixels scaled to [0, 1].
        std: likewise.
        device: where the batches are made.
        seed: with the epoch it decides order and augmentation.
        train: training or scoring.
        balanced: an epoch shows as many training images of each class (``balanced_order``), instead of each image once
            at most.
        workers: processes that decode files.
        pool: number R of augmentations that each training image has, the same whatever the seed is, with what each
            erases; an epoch shows each image in one of them, chosen at random. None draws a new augmentation every
            epoch.

    Raises:
        CrcdError: a training batch of fewer than two samples, of more than there are, or that the processes can't
            divide evenly.
    """

    def __init__(
        self,
        images: Images,
        batch_size: int,
        *,
        augment: CropFlip | ResizedCropFlip | None,
        picture: PictureAugment | None = None,
        erasing: Erasing | None = None,
        mix: Mix | None = None,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        device: torch.device,
        seed: int,
        train: bool,
        balanced: bool = False,
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
        self.batch_size, self.device, self.seed, self.train = batch_size, device, seed, train
        self.augment, self.picture = (augment, picture) if train else (None, None)
        self.erasing, self.mix = (erasing, mix) if train else (None, None)
        self.balanced = balanced and train
        self.images, self.labels_N = images, images.labels.to(device)
        self.classes_N = images.labels.cpu()
        self.all_labelled = bool((self.classes_N != UNLABELLED).all())
        self.decoder: Decoder | None = None
        if isinstance(images, EncodedImages) or self.picture is not None:
            self.decoder = Decoder(images, self.picture, workers, pin_memory=device.type == "cuda")
        elif isinstance(images, TensorImages):
            self.images = images.to(device)
        self.mean, self.std = mean, std
        self.scale_C11 = (1 / (255 * torch.tensor(std)))[:, None, None].to(device)
        self.shift_C11 = (torch.tensor(mean) / torch.tensor(std))[:, None, None].to(device)
        self.pool_RNP: Tensor | None = None
        self.pool_seed_RN: Tensor | None = None
        self.pool_box_RN4: Tensor | None = None
        if pool is not None and self.augment is not None:
            generator = torch.Generator().manual_seed(POOL_SEED)
            views, seeds, boxes = [], [], []
            for _ in range(pool):  # view r is the same for any R > r
                views.append(self.augment.draw(len(images), generator))
                seeds += [] if self.picture is None else [self.picture.draw(len(images), generator)]
                boxes += [] if self.erasing is None else [self.erasing.draw(len(images), generator)]
            self.pool_RNP = torch.stack(views).to(device)
            self.pool_seed_RN = torch.stack(seeds) if seeds else None
            self.pool_box_RN4 = torch.stack(boxes).to(device) if boxes else None

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
        place_N = index_N = torch.randperm(n, generator=generator) if self.train else torch.arange(n)
        if self.balanced:  # what is drawn for each place, not for each sample, since samples may come twice
            place_N, index_N = torch.arange(n), balanced_order(self.classes_N, generator)
        parameters_NP = pool_view_N = box_N4 = seed_N = None
        if self.pool_RNP is not None:
            pool_view_N = torch.randint(len(self.pool_RNP), (n,), generator=generator)
        elif self.augment is not None:
            parameters_NP = self.augment.draw(n, generator)
        if self.picture is not None and self.pool_RNP is None:
            seed_N = self.picture.draw(n, generator)
        mix_N5 = None if self.mix is None else self.mix.draw(n, generator)
        if self.erasing is not None and self.pool_RNP is None:
            box_N4 = self.erasing.draw(n, generator)
        drawn = (parameters_NP, pool_view_N, mix_N5, box_N4, seed_N)
        order = _Order(index_N, *(None if own is None else own[place_N] for own in drawn))
        if self.pool_seed_RN is not None and order.pool_view_N is not None:
            order = order._replace(seed_N=self.pool_seed_RN[order.pool_view_N, index_N])
        return self._split(order, slice(start_step, len(self)))

    def pool_inputs(self, view: int, start_step: int = 0) -> Iterator[Inputs]:
        """All training images in order, each in one and the same view of the pool; the last batch may be smaller."""
        n = len(self.images)
        seed_N = None if self.pool_seed_RN is None else self.pool_seed_RN[view]
        order = _Order(torch.arange(n), None, torch.full((n,), view), None, None, seed_N)
        return self._split(order, slice(start_step, None))

    def pool_identity(self) -> dict[str, str]:
        """What a view of the pool shows, in words and hashes, the same for every R and seed."""
        assert self.pool_RNP is not None
        first = hashlib.sha256(self.pool_RNP[0].cpu().numpy().data).hexdigest()  # of how the views are drawn
        picture = "" if self.picture is None else f"{self.picture} of torchvision {torchvision.__version__}, "
        erasing = "" if self.erasing is None else f"{self.erasing}, "
        return {
            "images": f"{len(self.images)} of {'x'.join(map(str, self.images.shape))}, {self.images.digest()}",
            "normalisation": f"mean {self.mean}, std {self.std}",
            "augmentation": f"{picture}{erasing}{self.augment}, seed {POOL_SEED}, {first}",
        }

    def _split(self, order: _Order, steps: slice) -> Iterator[Inputs]:
        """The batches of an order."""
        own = _own(order.mix_N5)

        def batches(by_place: Tensor | None) -> Iterable[Tensor | None]:
            return repeat(None) if by_place is None else by_place.split(self.batch_size)[steps]

        decoded: Iterator[Tensor | None] = repeat(None)
        if self.decoder is not None:
            pairs = zip(order.index_N.split(self.batch_size)[steps], batches(order.seed_N), strict=False)
            wanted = [Wanted(own(index_B), None if seed_B is None else own(seed_B)) for index_B, seed_B in pairs]
            decoded = self.decoder(wanted)
        on_device = (None if tensor is None else self._to_device(tensor) for tensor in order[:5])
        for index_B, parameters_BP, pool_view_B, mix_B5, box_B4 in zip(*map(batches, on_device), strict=False):
            if self.pool_RNP is not None:
                parameters_BP = self.pool_RNP[pool_view_B, index_B]
            if self.pool_box_RN4 is not None:
                box_B4 = self.pool_box_RN4[pool_view_B, index_B]
            parameters_BP, box_B4 = (None if x is None else own(x) for x in (parameters_BP, box_B4))
            pixels_BCHW = next(decoded)
            if pixels_BCHW is not None:
                pixels_BCHW = pixels_BCHW.to(self.device, non_blocking=True)
            yield Inputs(index_B, pixels_BCHW, parameters_BP, pool_view_B, mix_B5, box_B4)

    def batch(self, inputs: Inputs) -> Batch:
        """One batch. All of it happens on the device, without waiting for it."""
        index_B, image_BCHW, parameters_BP, pool_view_B, mix_B5, box_B4 = inputs
        if image_BCHW is None:
            image_BCHW = self.images.fetch(_own(mix_B5)(index_B))
        if self.augment is not None and parameters_BP is not None:
            image_BCHW = self.augment.apply(image_BCHW, parameters_BP)
        image, mixture = torch.addcmul(-self.shift_C11, image_BCHW.float(), self.scale_C11), None
        if self.erasing is not None and box_B4 is not None:
            image = self.erasing.apply(image, box_B4)
        if self.mix is not None and mix_B5 is not None:
            image, mixture = self.mix.apply(image, mix_B5)
        image = image.contiguous(memory_format=torch.channels_last)
        target_B, labelled_B = self.labels_N[index_B], None
        if not self.all_labelled:
            labelled_B = target_B != UNLABELLED
            if mixture is not None:
                labelled_B = labelled_B & labelled_B[mixture.partner_B]
        return Batch(image, target_B, index_B, pool_view_B, mixture, labelled_B)

    def _to_device(self, drawn: Tensor) -> Tensor:
        """A copy on the device that the host does not wait for."""
        pinned = drawn.pin_memory() if self.device.type == "cuda" else drawn
        return pinned.to(self.device, non_blocking=True)


def _own(mix: Tensor | None) -> Callable[[Tensor], Tensor]:
    """Takes the rows of those images of a batch that this process makes."""
    return distributed.share if mix is None else share_and_partners
