"""Networks by name."""

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial

from torch import nn

from crcd.errors import CrcdError, unknown
from crcd.models.classifier import ImageClassifier
from crcd.models.mobilenetv2 import mobilenetv2
from crcd.models.resnet import NARROW, WIDE, cifar_resnet, resnet50
from crcd.models.shufflenetv1 import shufflenetv1
from crcd.models.shufflenetv2 import shufflenetv2
from crcd.models.vgg import CONVOLUTIONS, vgg
from crcd.models.wrn import wrn

_ZOO: dict[str, Callable[[int, int], ImageClassifier]] = {
    **{f"resnet{depth}": partial(cifar_resnet, depth, NARROW) for depth in (8, 14, 20, 32, 44, 56, 110)},
    **{f"resnet{depth}x4": partial(cifar_resnet, depth, WIDE) for depth in (8, 32)},
    "resnet50": resnet50,
    **{f"wrn_{depth}_{widen}": partial(wrn, depth, widen) for depth in (16, 40) for widen in (1, 2)},
    **{f"vgg{depth}": partial(vgg, depth) for depth in CONVOLUTIONS},
    "mobilenetv2": mobilenetv2,
    "shufflenetv1": shufflenetv1,
    "shufflenetv2": shufflenetv2,
}


def model_names() -> list[str]:
    """Names of the zoo, the CIFAR networks of the CRD tables; beside them, ``timm/NAME`` is any timm network."""
    return list(_ZOO)


def create_model(name: str, num_classes: int, in_channels: int = 3) -> nn.Module:
    """A freshly initialised network.

    Args:
        name: a name of the zoo (``resnet20``), or ``timm/NAME`` for the network that timm calls NAME.
        num_classes: C, width of the logits.
        in_channels: channels of the images.

    Raises:
        CrcdError: no network has this name (the nearest are suggested), or a number is below 1.
    """
    if num_classes < 1 or in_channels < 1:
        raise CrcdError(
            f"model '{name}' of {num_classes} classes and {in_channels} image channels: give at least 1 of each"
        )
    if name in _ZOO:
        return _ZOO[name](num_classes, in_channels)
    import timm  # slow to import, and the zoo does without it

    if name.startswith("timm/") and timm.is_model(name.removeprefix("timm/")):
        model: nn.Module = timm.create_model(
            name.removeprefix("timm/"), pretrained=False, num_classes=num_classes, in_chans=in_channels
        )
        return model
    if timm.is_model(name):
        raise CrcdError(f"unknown model '{name}': timm has a network of this name, write timm/{name}")
    known = [*_ZOO, *(f"timm/{timm_name}" for timm_name in timm.list_models())]
    raise unknown("model", name, get_close_matches(name.lower(), known, n=3, cutoff=0.5) or _ZOO)
