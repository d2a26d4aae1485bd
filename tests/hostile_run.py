"""A run whose learners, classes and paths try to break out of the page."""

from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from crcd.train.config import DistillConfig
from crcd.train.distill import distill

CLASSES = (
    '<img src=x onerror="window.broken=1">',
    "</script><script>window.broken=1</script>",
    'it\'s "two" & {{ 7 * 7 }} \N{BULLET} $& \\n',
)
"""Names of classes; a folder can't have a slash in its name, so there is another one in place of it."""


def folder(root: Path, classes: tuple[str, ...] = CLASSES, size: int = 16, train: int = 8, test: int = 4) -> Path:
    """Coloured noise in as many classes."""
    torch.manual_seed(0)
    for part, count in (("train", train), ("val", test)):
        for number, name in enumerate(classes):
            place = root / part / name.replace("/", "\N{DIVISION SLASH}")
            place.mkdir(parents=True)
            for i in range(count):
                pixels = torch.randint(128, (size, size, 3), dtype=torch.uint8)
                pixels[..., number % 3] += 127
                Image.fromarray(pixels.numpy()).save(place / f"{i}.png")
    return root


def run(settings: DistillConfig, root: Path, out: Path, **changes: object) -> Path:
    """A run on such a folder."""
    own = replace(settings, data="folder", data_dir=root, image_size=16, student_images=None, batch_size=8, epochs=1)
    distill(replace(own, teacher_weights=None, crcd=replace(settings.crcd, negatives=4), out=out, **changes))
    return out
