"""The images of a run: which are learned from, which are scored."""

from dataclasses import dataclass
from typing import Self

import torch

from crcd import distributed
from crcd.data import CropFlip, DataSet, Images, Loader, load_dataset, split
from crcd.models import ImageFormat
from crcd.train.options import DataOptions

HOLDOUT_SEED = 0
"""Every run holds out the same images, so that a teacher may be shared by runs of several seeds."""


@dataclass(frozen=True)
class Material:
    """A data set as a run uses it.

    Attributes:
        data: the whole data set.
        train: images to learn from, without those held out.
        scored: images to score on.
        scored_on: ``"test"`` or ``"holdout"``.
        options: settings of the data.
        seed: of order and augmentation.
        device: where batches are made.
    """

    data: DataSet
    train: Images
    scored: Images
    scored_on: str
    options: DataOptions
    seed: int
    device: torch.device

    @classmethod
    def load(cls, options: DataOptions, seed: int, device: torch.device) -> Self:
        """Load the data set and hold out what the settings ask for."""
        with distributed.first_goes_ahead():
            data = load_dataset(
                options.data,
                options.data_dir,
                image_size=options.image_size,
                download=options.download,
                skip_corrupt=options.skip_corrupt,
            )
        if options.holdout == 0:
            return cls(data, data.train, data.test, "test", options, seed, device)
        train, held_out = split(data.train, options.holdout, HOLDOUT_SEED)
        return cls(data, train, held_out, "holdout", options, seed, device)

    @property
    def format(self) -> ImageFormat:
        """Size and normalisation of its images."""
        channels, size, _ = self.train.shape
        return ImageFormat(channels, size, self.data.mean, self.data.std)

    def train_loader(self, images: Images, pool: int | None = None) -> Loader:
        """Shuffled, augmented batches of the images; with a pool, in that many fixed augmentations of each."""
        augment = CropFlip(self.options.crop_padding, self.options.flip)
        return self._loader(images, train=True, augment=augment, pool=pool)

    def score_loader(self) -> Loader:
        """The scored images in order."""
        return self._loader(self.scored, train=False, augment=None)

    def _loader(self, images: Images, *, train: bool, augment: CropFlip | None, pool: int | None = None) -> Loader:
        return Loader(
            images,
            self.options.batch_size,
            augment=augment,
            mean=self.data.mean,
            std=self.data.std,
            device=self.device,
            seed=self.seed,
            train=train,
            workers=self.options.workers,
            pool=pool,
        )
