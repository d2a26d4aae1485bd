"""The forms in which a classifier is handed on."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, cast

from torch import Tensor, nn

from crcd.export.description import Description

FormatName = Literal["safetensors", "onnx", "pt2"]
MODULES: dict[FormatName, str] = {"safetensors": "to_safetensors", "onnx": "to_onnx", "pt2": "to_pt2"}
"""Module of each in this package, imported when it is asked for; the order in which one of several is opened."""

Logits = Callable[[Tensor], Tensor]
"""Normalised images [B, C, H, W], float32 and on the CPU -> logits [B, classes], for any B."""


class Format(Protocol):
    """The module of a form."""

    def write(self, model: nn.Module, description: Description, path: Path) -> None:
        """Write a network in eval mode, and its description, into a file.

        Raises:
            CrcdError: a package is missing, or the network can't be had in this form.
        """
        ...

    def strings(self, path: Path) -> Mapping[str, str]:
        """The texts of the description in a file.

        Raises:
            CrcdError: the file is none of this form.
        """
        ...

    def read(self, path: Path, description: Description) -> Logits:
        """What is in a file, ready to run.

        Raises:
            CrcdError: a package is missing, or the file is damaged.
        """
        ...


def format_of(name: FormatName) -> Format:
    """The module of a form."""
    return cast(Format, import_module(f"crcd.export.{MODULES[name]}"))


def file_name(name: FormatName) -> str:
    """What its file is called in the folder of an export."""
    return f"model.{name}"
