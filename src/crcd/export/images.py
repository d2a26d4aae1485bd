"""The images of a run, to check with."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from crcd.config_file import fill
from crcd.data import Images
from crcd.errors import CrcdError
from crcd.export.check import SPLIT
from crcd.export.source import Source
from crcd.models import adapt_between
from crcd.train.material import Material
from crcd.train.options import DataOptions
from crcd.train.run_folder import RunFolder


class RunImages:
    """The images that a run learned from and was scored on, as a network of it takes them.

    Args:
        source: the network.
        data: name of the data set; None for the run's.
        data_dir: where it lies, if a data set was named or lies elsewhere now.

    Raises:
        CrcdError: the images can't be had, are of other classes than the network's, or not as many.
    """

    def __init__(self, source: Source, data: str | None, data_dir: Path | None) -> None:
        options = _options(source, data, data_dir)
        try:
            self._material = Material.load(options, 0, torch.device("cpu"))
        except CrcdError as error:
            raise CrcdError(f"{error}; if the images were moved, name their place by --data") from error
        if self._material.data.class_names != source.description.class_names:
            raise CrcdError(
                f"data set {options.data} has other classes than {source.run} was trained on: name its data with --data"
            )
        count, own = len(self._material.scored), source.summary["scored_images"]
        if count != own:
            raise CrcdError(
                f"data set {options.data} has {count} images to score on, and {source.run} was scored on {own}: name "
                "its data with --data"
            )
        self._adapt = adapt_between(self._material.format, source.description.images) or nn.Identity()
        self.scored = self._material.scored
        self.train = self._material.train

    def batches(self, images: Images) -> Iterator[Tensor]:
        """The images in order, normalised for the network, [B, C, H, W]."""
        for batch in self._material.in_order(images).epoch(0):
            with torch.inference_mode():
                yield self._adapt(batch.image)


def _options(source: Source, data: str | None, data_dir: Path | None) -> DataOptions:
    names = {field.name for field in fields(DataOptions)}
    own = {name: value for name, value in source.settings.items() if name in names}
    options = fill(DataOptions(), own, RunFolder(source.run).config)
    options = replace(options, batch_size=sum(SPLIT), workers=0, download=False)
    if data is None and data_dir is None:
        return options
    return replace(options, data=data or options.data, data_dir=data_dir)
