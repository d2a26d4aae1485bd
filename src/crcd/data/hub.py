"""Any image data set of the Hugging Face hub, or of a folder that its library reads."""

import logging
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from crcd.data.dataset import UNLABELLED, DataSet, Images, Statistics, check_labels
from crcd.data.decode import CorruptImageError
from crcd.data.encoded import EncodedImages, files_digest, load_encoded
from crcd.errors import CrcdError, few

PREFIX = "hf/"
TEST_SPLITS = ("test", "validation", "valid", "val")
"""Splits to score on, the first that has labels is taken."""
UNLABELLED_SPLITS = ("unlabelled", "unlabeled", "unsupervised")
"""Splits to learn from without labels, beside those of the training split that have none."""
LABEL_COLUMNS = ("label", "labels")
"""Columns that are learned wherever they hold classes, however many others there are."""
STATISTICS_IMAGES = 1000
"""Training images, evenly spread, of which channel statistics are computed."""

log = logging.getLogger(__name__)


class HubImages(EncodedImages):
    """Rows of tables whose image column is left encoded.

    ``digest`` is of the files of the tables, the rows, and the size to which they are decoded.

    Args:
        tables: each a ``datasets.Dataset``, one split.
        column: name of their image column.
        place_N2: number of the table and of the row of each image, int64.
        labels: classes, int64, [N].
        size: side of the squares, pixels.
    """

    def __init__(self, tables: Sequence[Any], column: str, place_N2: Tensor, labels: Tensor, size: int) -> None:
        super().__init__(labels, size)
        self.tables, self.column, self.place_N2 = tables, column, place_N2

    @property
    def split(self) -> str:
        """Name of the first table."""
        return str(self.tables[0].split)

    def file(self, i: int) -> Path | BytesIO:
        table, row = self.place_N2[i].tolist()
        image = self.tables[table][row][self.column]
        if image is None:
            raise CorruptImageError(f"{self.name(i)} has no image; mend it, or pass --skip-corrupt")
        return Path(image["path"]) if image["bytes"] is None else BytesIO(image["bytes"])

    def name(self, i: int) -> str:
        table, row = self.place_N2[i].tolist()
        return f"row {row} of {self.tables[table].split}"

    def take(self, index: Tensor) -> Self:
        return type(self)(self.tables, self.column, self.place_N2[index], self.labels[index], self.size)

    def digest(self) -> str:
        files = [Path(file["filename"]) for table in self.tables for file in table.cache_files]
        return files_digest(f"{self.size} {self.column} {self.place_N2.tolist()}", files)


def hub(name: str, cache: Path | None, image_size: int | None, *, skip_corrupt: bool) -> DataSet:
    """Images of any size and mode as RGB squares of ``image_size`` (64).

    Labels are those of the column ``label`` or ``labels``, if it holds classes, else of the column with most of them;
    where there are several, that is said. Training images whose label is absent or -1, and those of a split that is
    called unlabelled, unlabeled or unsupervised, are learned from without a label.

    Args:
        name: of the data set on the hub, or a folder, as ``datasets.load_dataset`` takes it; where it has several
            configurations, NAME:CONFIGURATION.
        cache: where downloaded data sets lie; None for the library's own place.
        image_size: side of the squares.
        skip_corrupt: leave out images that can't be decoded.

    Raises:
        CrcdError: the library or the data set is absent, it has no labelled images, or images are corrupt.
    """
    train, test, class_names = hub_parts(name, cache, image_size or 64)
    parts = {f"{PREFIX}{name} {images.split}": images for images in (train, test)}
    train_loaded, test_loaded = load_encoded(parts, skip_corrupt=skip_corrupt)
    return DataSet(f"{PREFIX}{name}", train_loaded, test_loaded, class_names, *_statistics(train_loaded))


def hub_parts(name: str, cache: Path | None, size: int) -> tuple[HubImages, HubImages, tuple[str, ...]]:
    """Images to learn from, images to score on, and class names; arguments and errors as of ``hub``."""
    try:
        import datasets
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise CrcdError(f'{PREFIX}{name} needs the package datasets: pip install "crcd[hub]"') from error
    path, _, configuration = (name, "", "") if Path(name).exists() else name.partition(":")
    try:
        splits = datasets.load_dataset(path, configuration or None, cache_dir=None if cache is None else str(cache))
    except (datasets.exceptions.DatasetsError, HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CrcdError(
            f"{PREFIX}{name} could not be loaded ({reason}): give the name of a data set of "
            "huggingface.co/datasets, or a folder"
        ) from error
    if "train" not in splits:
        raise CrcdError(f"{PREFIX}{name} has no split train (it has {', '.join(splits)})")
    features = splits["train"].features
    image = next((column for column, kind in features.items() if isinstance(kind, datasets.Image)), None)
    classes = {column: kind.num_classes for column, kind in features.items() if isinstance(kind, datasets.ClassLabel)}
    if image is None or not classes:
        raise CrcdError(f"{PREFIX}{name}: it needs columns of types Image and ClassLabel, but has {features}")
    label = _label_column(f"{PREFIX}{name}", classes)

    def images(*names: str) -> HubImages:
        tables = [splits[split].cast_column(image, datasets.Image(decode=False)) for split in names]
        places = [(number, row) for number, table in enumerate(tables) for row in range(len(table))]
        labels = [number for split in names for number in _labels(splits[split], label)]
        return HubImages(tables, image, torch.tensor(places), torch.tensor(labels, dtype=torch.int64), size)

    train = images("train", *(split for split in UNLABELLED_SPLITS if split in splits))
    known = train.labels[train.labels != UNLABELLED]
    if len(known) == 0:
        raise CrcdError(f"{PREFIX}{name}, training images: none has a label in column {label}")
    check_labels(known, features[label].num_classes, f"{PREFIX}{name}, labelled training images")
    for split in TEST_SPLITS:
        if split in splits and UNLABELLED not in _labels(splits[split], label):
            return train, images(split), tuple(features[label].names)
    raise CrcdError(
        f"{PREFIX}{name} has no labelled split to score on: one of {', '.join(TEST_SPLITS)} (it has "
        f"{', '.join(splits)})"
    )


def _label_column(name: str, classes: dict[str, int]) -> str:
    """Of the columns with classes, by their number, the one that is called so; else the one with most, said aloud."""
    if usual := next((column for column in LABEL_COLUMNS if column in classes), None):
        return usual
    most = max(classes, key=lambda column: classes[column])
    if others := [column for column in classes if column != most]:
        _say_column(name, f"{most}, which has most classes ({classes[most]})", few(others))
    return most


@cache
def _say_column(name: str, learned: str, others: str) -> None:
    log.warning("%s: labels are of column %s, not of %s; if another is meant, call it label", name, learned, others)


def _labels(rows: Any, column: str) -> list[int]:
    """Class of each row of a split, ``UNLABELLED`` where it is not known."""
    if str(rows.split) in UNLABELLED_SPLITS:
        return [UNLABELLED] * len(rows)
    return [UNLABELLED if number is None else number for number in rows.select_columns([column])[:][column]]


def _statistics(images: Images) -> Statistics:
    """Mean and standard deviation of the pixels, by channel; no deviation is less than one of 255 levels."""
    moments = []
    for i in torch.linspace(0, len(images) - 1, min(len(images), STATISTICS_IMAGES)).long():
        pixels_1CHW = images.fetch(i[None]).double() / 255
        moments.append(torch.stack([pixels_1CHW.mean((0, 2, 3)), pixels_1CHW.square().mean((0, 2, 3))]))
    mean_C, square_C = torch.stack(moments).mean(0)
    return tuple(mean_C.tolist()), tuple((square_C - mean_C.square()).clamp(min=255**-2).sqrt().tolist())
