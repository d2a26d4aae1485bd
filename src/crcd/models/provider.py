"""What a provider of networks, such as timm, is asked for."""

from collections.abc import Sequence
from typing import Protocol

from torch import nn

from crcd.errors import CrcdError
from crcd.models.image_format import ImageFormat

Aliases = Sequence[frozenset[str]]
"""Of each class in the order of their numbers: all that it is called."""


class Library(Protocol):
    """The module of a library: its networks go by ``LIBRARY/NAME``."""

    def names(self) -> list[str]:
        """Of its networks; empty if they cannot be listed."""
        ...

    def create(self, name: str, num_classes: int, in_channels: int) -> nn.Module:
        """A freshly initialised network.

        Raises:
            CrcdError: there is none of this name, or not of so many channels.
        """
        ...

    def pretrained(self, name: str) -> nn.Module:
        """The network with the library's weights, of its own classes; whatever error says that it can't be had."""
        ...

    def image_format(self, name: str) -> ImageFormat | None:
        """Images that the library's weights were trained on; None if it does not say."""
        ...

    def class_names(self, name: str) -> Aliases | None:
        """Classes of the library's weights; None if it does not name them."""
        ...


def check_colour(name: str, in_channels: int) -> None:
    """Raises ``CrcdError`` where images are not of colour, for libraries whose networks take no others."""
    if in_channels != 3:
        raise CrcdError(
            f"model '{name}' takes images of 3 channels, those of the data have {in_channels}: take a network of the "
            "zoo or of timm"
        )
