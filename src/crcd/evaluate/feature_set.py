"""Features of another data set by the networks of runs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from crcd.data import Batch, DataSet, Images, Loader, known_labels, labelled, split
from crcd.errors import CrcdError
from crcd.evaluate.features import extract
from crcd.evaluate.pretrained import Pretrained
from crcd.train.options import require, require_seed, require_workers

Progress = Callable[[Loader, str], Iterable[Batch]]
"""Gives the batches of a loader, and shows under a title how far they are."""


@dataclass(frozen=True, kw_only=True)
class FeatureOptions:
    """How features are made, and for what."""

    holdout: float = 0.2
    """Share of the training images on which the l2 term is chosen; the chosen one is then fitted to all of them."""
    batch_size: int = 256
    """Images a step of the networks."""
    workers: int = 0
    """Processes that decode image files."""
    seed: int = 0
    """Seed of the images held out, and of initial values and order of sgd."""

    def __post_init__(self) -> None:
        require(0 < self.holdout < 1, "holdout", self.holdout, "give a share above 0 and below 1")
        require(self.batch_size >= 1, "batch-size", self.batch_size, "give 1 or more")
        require_workers(self.workers)
        require_seed("seed", self.seed)


class Part(NamedTuple):
    """Features of some images, and their classes."""

    feature_ND: Tensor
    labels_N: Tensor


@dataclass(frozen=True)
class FeatureSet:
    """One network's features of a data set.

    Attributes:
        network: whose they are.
        fit: of the training images but for those held out.
        held_out: of those.
        test: of the test images.
        num_classes: C.
    """

    network: Pretrained
    fit: Part
    held_out: Part
    test: Part
    num_classes: int

    @property
    def train(self) -> Part:
        """Of all training images."""
        return Part(*map(torch.cat, zip(self.fit, self.held_out, strict=True)))


def feature_sets(
    networks: Sequence[Pretrained],
    load: Callable[[int], DataSet],
    options: FeatureOptions,
    device: torch.device,
    progress: Progress = lambda loader, _: loader.epoch(0),
) -> list[FeatureSet]:
    """Features of every network, in their order; images are read once for all networks that know them in one format.

    Images are resized, as their data set does it, to the size that a network was trained with, and normalised by the
    statistics of the images that it was trained on: frozen layers then see a pixel as the number it was in training.
    Grey images are repeated for networks of colour images.

    Args:
        networks: the networks.
        load: gives the data set with images of a size.
        options: how.
        device: where.
        progress: see ``Progress``.

    Raises:
        CrcdError: a network of grey images for a data set of colour ones, features that are not finite, or a data set
            with one class in training, or too small to hold out a share.
    """
    data = {size: load(size) for size in dict.fromkeys(network.format.size for network in networks)}
    for network in networks:
        _check(data[network.format.size], network)
    found = []
    for images in dict.fromkeys(network.format for network in networks):
        own = [network for network in networks if network.format == images]
        source = data[images.size]
        train, held_out = split(labelled(source.train), options.holdout, options.seed)
        parts = [_read(own, part, options, device, progress) for part in (train, held_out, source.test)]
        for network, fit, held, test in zip(own, *parts, strict=True):
            found.append(FeatureSet(network, fit, held, test, source.num_classes))
    return sorted(found, key=lambda features: networks.index(features.network))


def _check(data: DataSet, network: Pretrained) -> None:
    channels = data.train.shape[0]
    if channels not in (1, network.format.channels):
        raise CrcdError(
            f"run {network.run}: network '{network.name}' takes images of {network.format.channels} channel, those of "
            f"{data.name} have {channels}: probe it on grey images such as digits"
        )
    if len(known_labels(data.train).unique()) < 2:
        raise CrcdError(f"{data.name}: all training images are of one class: a probe needs two or more")


def _read(
    networks: Sequence[Pretrained], images: Images, options: FeatureOptions, device: torch.device, progress: Progress
) -> list[Part]:
    """Features of each network, all of one format; its three means make three channels of a grey one."""
    loader = Loader(
        images,
        options.batch_size,
        augment=None,
        mean=networks[0].format.mean,
        std=networks[0].format.std,
        device=device,
        seed=options.seed,
        train=False,
        workers=options.workers,
    )
    viewers = [network.viewer.to(device) for network in networks]
    features = extract(viewers, progress(loader, f"features of {len(images)} images by {len(networks)} networks"))
    for network, (feature_ND, _) in zip(networks, features, strict=True):
        if not torch.isfinite(feature_ND).all():
            raise CrcdError(f"run {network.run}: network '{network.name}' gives features that are not finite")
    return [Part(feature_ND, loader.labels_N) for feature_ND, _ in features]
