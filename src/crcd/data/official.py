"""What the data sets share whose official binary files torchvision's own loaders read."""

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.datasets.utils import check_integrity

from crcd.data.dataset import TensorImages
from crcd.errors import CrcdError

DAMAGE = (RuntimeError, OSError, EOFError, pickle.UnpicklingError, LookupError, ValueError, TypeError, AssertionError)
"""What torchvision's loaders raise where a file is missing, cut off or none of theirs."""


def read_official(
    name: str,
    root: Path,
    base_folder: str,
    hashes: Sequence[tuple[str, str | None]],
    read: Callable[[bool], Any],
    *,
    download: bool,
) -> tuple[Any, Any]:
    """Training and test part.

    Args:
        name: of the data set.
        root: folder that holds ``base_folder``.
        base_folder: where torchvision looks for the files.
        hashes: names of the files and their published md5, None where there is none.
        read: makes torchvision's training (True) or test part (False).
        download: whether ``read`` fetches absent files.

    Raises:
        CrcdError: the files are absent, are damaged, or could not be downloaded.
    """
    try:
        return read(True), read(False)
    except DAMAGE as error:
        folder = root / base_folder
        if download:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CrcdError(
                f"{name} could not be downloaded into {root} ({reason}): put its files in {folder}; if some are there, "
                "remove those that are damaged"
            ) from error
        reason = first_fault(folder, hashes) or "they can't be read"
        raise CrcdError(
            f"{name} is not in {folder}, or its files are damaged ({reason}): fetch it with --download or "
            f"crcd data fetch, or name the folder that holds {base_folder} with --data-dir"
        ) from error


def first_fault(folder: Path, hashes: Sequence[tuple[str, str | None]]) -> str | None:
    """The first file that is missing or has another md5; None if there is none."""
    for file, md5 in hashes:
        if not check_integrity(folder / file, md5):
            return f"{file} {'has another hash than the published one' if (folder / file).is_file() else 'is missing'}"
    return None


def tensor_images(image_NCHW: Tensor, labels: Tensor, size: int | None, where: str) -> TensorImages:
    """Square images in memory, resized with antialiasing unless ``size`` is None or their own.

    Raises:
        CrcdError: there is not one label for each image.
    """
    if len(image_NCHW) != len(labels):
        raise CrcdError(f"{where}: {len(image_NCHW)} images but {len(labels)} labels; fetch the files again")
    if size not in (None, image_NCHW.shape[-1]):
        image_NCHW = F.interpolate(image_NCHW, size=(size, size), mode="bilinear", antialias=True)
    return TensorImages(image_NCHW.contiguous(), labels.to(torch.int64))
