"""Networks by name."""

from difflib import get_close_matches
from importlib import import_module
from typing import cast

from torch import nn

from crcd.errors import CrcdError, unknown
from crcd.models import from_code
from crcd.models.provider import Library
from crcd.models.zoo import ZOO

LIBRARIES = {"timm": "from_timm", "torchvision": "from_torchvision", "hf": "from_transformers"}
"""Module of each library in this package, imported when a network of it is asked for."""

NAMES = "a name of `crcd list models`, timm/NAME, torchvision/NAME, hf/NAME, or PACKAGE.MODULE:FACTORY (runs that code)"
"""What a network may be called."""


def model_names() -> list[str]:
    """Names of the zoo, the CIFAR networks of the CRD tables; beside them, there are those of libraries and code."""
    return list(ZOO)


def library_of(name: str) -> tuple[Library, str] | None:
    """Library of a name such as ``timm/NAME``, and the name there; None of any other name."""
    prefix, slash, inner = name.partition("/")
    if not slash or prefix not in LIBRARIES:
        return None
    return cast(Library, import_module(f"crcd.models.{LIBRARIES[prefix]}")), inner


TRUST = "give --run-code if you made it or trust those who did"
"""What to do where a command has that flag."""


def refuse_code(name: str, source: str, advice: str = "name it yourself") -> None:
    """Raises ``CrcdError`` if a name that a file gives, not the user, would run code.

    Args:
        name: of a network.
        source: the file.
        advice: what the user may do about it.
    """
    if library_of(name) is None and ":" in name:
        raise CrcdError(f"{source} name {name}, code that is not run on a file's word: {advice}")


def create_model(name: str, num_classes: int, in_channels: int = 3) -> nn.Module:
    """A freshly initialised network.

    Args:
        name: a name of the zoo (``resnet20``); ``timm/NAME``, ``torchvision/NAME`` or ``hf/NAME`` for what the library
            calls NAME, which of transformers may be a folder; or ``package.module:factory``, whose code is run.
        num_classes: C, width of the logits.
        in_channels: channels of the images.

    Raises:
        CrcdError: no network has this name (the nearest are suggested), or not of so many channels, or a number is
            below 1.
    """
    if num_classes < 1 or in_channels < 1:
        raise CrcdError(
            f"model '{name}' of {num_classes} classes and {in_channels} image channels: give at least 1 of each"
        )
    if name in ZOO:
        return ZOO[name](num_classes, in_channels)
    if (found := library_of(name)) is not None:
        library, inner = found
        return library.create(inner, num_classes, in_channels)
    if ":" in name:
        return from_code.create(name, num_classes, in_channels)
    raise _unknown(name)


def pretrained_model(name: str) -> nn.Module:
    """A network with its library's own weights, of the classes that these were trained on.

    Raises:
        CrcdError: the network is of no library, or its weights do not exist or could not be downloaded.
    """
    found = library_of(name)
    if found is None:
        raise CrcdError(f"model '{name}' has no pretrained weights: take one of a library, or give a file")
    library, inner = found
    try:
        return library.pretrained(inner)
    except CrcdError:
        raise
    except Exception as error:  # network, hub and library fail in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CrcdError(
            f"model '{name}': its pretrained weights could not be had ({reason}): without network, give them as a file"
        ) from error


def _unknown(name: str) -> CrcdError:
    known = [*ZOO]
    for prefix in ("timm", "torchvision"):
        library, _ = cast(tuple[Library, str], library_of(f"{prefix}/"))
        names = library.names()
        if name in names:
            return CrcdError(f"unknown model '{name}': {prefix} has a network of this name, write {prefix}/{name}")
        known += [f"{prefix}/{inner}" for inner in names]
    return unknown("model", name, get_close_matches(name.lower(), known, n=3, cutoff=0.5) or ZOO)
