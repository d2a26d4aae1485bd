"""The images of a run: which are learned from, which are scored."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from crcd import distributed
from crcd.data import (
    CropFlip,
    DataSet,
    EncodedImages,
    Erasing,
    Images,
    Loader,
    Mix,
    PictureAugment,
    ResizedCropFlip,
    class_weights,
    load_dataset,
    split,
)
from crcd.models import ImageFormat
from crcd.train.options import DataOptions

HOLDOUT_SEED = 0
"""Every run holds out the same images, so that a teacher may be shared by runs of several seeds."""


def load_data(options: DataOptions) -> DataSet:
    """The data set that the settings name."""
    return load_dataset(
        options.data,
        options.data_dir,
        image_size=options.image_size,
        download=options.download,
        skip_corrupt=options.skip_corrupt,
    )


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
            data = load_data(options)
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
        resized = self.options.crop == "random-resized"
        of_file = resized and isinstance(images, EncodedImages)
        augment: CropFlip | ResizedCropFlip = CropFlip(0 if of_file else self.options.crop_padding, self.options.flip)
        if resized and not of_file:
            augment = ResizedCropFlip(self.options.crop_scale, self.options.flip)
        picture = None
        if of_file or self.options.policy != "none":
            crop_scale = self.options.crop_scale if of_file else None
            picture = PictureAugment(crop_scale, self.options.policy, *self.options.rand_augment)
        erasing = Erasing(self.options.erasing, images.shape[1]) if self.options.erasing > 0 else None
        mix = Mix(self.options.mixup, self.options.cutmix, self.options.mix_prob) if self.options.mixed else None
        return self._loader(images, train=True, augment=augment, picture=picture, erasing=erasing, mix=mix, pool=pool)

    def class_weights(self, images: Images) -> Tensor | None:
        """Weight of each class in cross-entropy, where the settings ask for that."""
        return class_weights(images.labels, self.data.num_classes) if self.options.balance == "loss" else None

    def score_loader(self) -> Loader:
        """The scored images in order."""
        return self.in_order(self.scored)

    def in_order(self, images: Images) -> Loader:
        """The images in order, as they are."""
        return self._loader(images, train=False)

    def _loader(
        self,
        images: Images,
        *,
        train: bool,
        augment: CropFlip | ResizedCropFlip | None = None,
        picture: PictureAugment | None = None,
        erasing: Erasing | None = None,
        mix: Mix | None = None,
        pool: int | None = None,
    ) -> Loader:
        return Loader(
            images,
            self.options.batch_size,
            augment=augment,
            picture=picture,
            erasing=erasing,
            mix=mix,
            mean=self.data.mean,
            std=self.data.std,
            device=self.device,
            seed=self.seed,
            train=train,
            balanced=self.options.balance == "sampler",
            workers=self.options.workers,
            pool=pool,
        )
