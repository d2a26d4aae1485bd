"""Which images a network takes."""

from dataclasses import dataclass
from typing import Literal

Interpolation = Literal["nearest", "bilinear", "bicubic"]


@dataclass(frozen=True)
class ImageFormat:
    """Images as a network knows them.

    Attributes:
        channels: 1 for grey, 3 for colour.
        size: side of the squares, pixels.
        mean: of each channel of the images it was trained on, for pixels scaled to [0, 1].
        std: likewise.
        interpolation: how images of another size are resized for it.
    """

    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Interpolation = "bilinear"

    def __str__(self) -> str:
        numbers = ", ".join(f"{kind} {' '.join(map(str, of))}" for kind, of in (("mean", self.mean), ("std", self.std)))
        return f"{self.channels}x{self.size}x{self.size} {self.interpolation}, {numbers}"
