"""What weights say of their network: texts that travel with them, which ``crcd.train.build.metadata`` writes."""

import json
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from crcd.errors import CrcdError
from crcd.models.image_format import ImageFormat, Interpolation

T = TypeVar("T")


def read_format(known: Mapping[str, str], source: str) -> ImageFormat | None:
    """Images of a network; None where the texts lack a part of them.

    Args:
        known: texts of a file.
        source: that file, for errors.

    Raises:
        CrcdError: they are damaged.
    """

    def read() -> ImageFormat:
        mean, std = (tuple(map(float, known[name].split())) for name in ("mean", "std"))
        resized = cast(Interpolation, known.get("interpolation", "bilinear"))
        return ImageFormat(int(known["in_channels"]), int(known["image_size"]), mean, std, resized)

    return _read(read, source)


def read_class_names(known: Mapping[str, str], source: str) -> tuple[str, ...] | None:
    """Names of the classes, in the order of the logits; None and errors as of ``read_format``."""
    return _read(lambda: tuple(map(str, json.loads(known["class_names"]))), source)


def read_class_count(known: Mapping[str, str], source: str) -> int | None:
    """Number of the classes; None and errors as of ``read_format``."""
    return _read(lambda: int(known["num_classes"]), source)


def _read(read: Callable[[], T], source: str) -> T | None:
    try:
        return read()
    except KeyError:
        return None
    except (ValueError, TypeError) as error:
        raise CrcdError(f"{source}: what it says of its images or classes is damaged ({error})") from error
