"""Image classifiers of torchvision."""

from typing import Any

import torchvision
from torch import nn
from torchvision.models import get_model, get_model_weights, list_models

from crcd.errors import unknown
from crcd.models.image_format import ImageFormat, Interpolation
from crcd.models.provider import Aliases, check_colour


def names() -> list[str]:
    """See ``Library``."""
    listed: list[str] = list_models(module=torchvision.models)
    return listed


def create(name: str, num_classes: int, in_channels: int) -> nn.Module:
    """See ``Library``; networks with auxiliary classifiers are made without them."""
    _check(name)
    check_colour(f"torchvision/{name}", in_channels)
    model: nn.Module = get_model(name, weights=None, num_classes=num_classes, **_without_auxiliary(name))
    return model


def pretrained(name: str) -> nn.Module:
    """See ``Library``."""
    _check(name)
    model: nn.Module = get_model(name, weights="DEFAULT")
    without_auxiliary = {"aux_logits": False, "AuxLogits": None, "aux1": None, "aux2": None}
    for name_of_part, value in without_auxiliary.items():
        if hasattr(model, name_of_part):
            setattr(model, name_of_part, value)
    return model


def image_format(name: str) -> ImageFormat | None:
    """See ``Library``."""
    weights = _weights(name)
    if weights is None:
        return None
    made = weights.transforms()
    interpolation: Interpolation = "bicubic" if made.interpolation.value == "bicubic" else "bilinear"
    return ImageFormat(len(made.mean), made.crop_size[0], tuple(made.mean), tuple(made.std), interpolation)


def class_names(name: str) -> Aliases | None:
    """See ``Library``."""
    weights = _weights(name)
    return None if weights is None else [frozenset({category}) for category in weights.meta["categories"]]


def _check(name: str) -> None:
    if name not in names():
        raise unknown("model", f"torchvision/{name}", [f"torchvision/{known}" for known in names()])


def _weights(name: str) -> Any:
    return getattr(get_model_weights(name), "DEFAULT", None)


def _without_auxiliary(name: str) -> dict[str, bool]:
    """GoogLeNet and Inception give several outputs in training unless told; weights expect their own normalisation."""
    options = {"aux_logits": False, "init_weights": True, "transform_input": True}
    return options if name in ("googlenet", "inception_v3") else {}
