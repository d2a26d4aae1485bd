"""What is done on the host to each training picture by itself: crops of pictures in their files, and policies."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from crcd.data.dataset import Images
from crcd.data.decode import open_rgb
from crcd.data.encoded import EncodedImages

Policy = Literal["none", "randaugment", "trivialaugment", "autoaugment"]


@dataclass(frozen=True)
class PictureAugment:
    """torchvision's transforms (v2), picture by picture, wherever it is decoded.

    They draw from PyTorch's global generator. It is seeded anew for each picture with a number of its own, which is
    drawn with those of all pictures of an epoch: what is done is a function of seed, epoch and sample alone, in
    whichever process. The generator is then as before.

    Attributes:
        crop_scale: RandomResizedCrop of this scale out of the picture in its file; None for the square image.
        policy: RandAugment, TrivialAugmentWide, AutoAugment (its policy for ImageNet), or none; after that crop.
        operations: that RandAugment does to a picture.
        magnitude: of RandAugment's operations, 0 to 30.
    """

    crop_scale: tuple[float, float] | None = None
    policy: Policy = "none"
    operations: int = 2
    magnitude: int = 9

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Seeds of so many pictures, int64, [count]."""
        return torch.randint(2**62, (count,), generator=generator)

    def fetch(self, images: Images, index_B: Tensor, seed_B: Tensor) -> Tensor:
        """Transformed images of the given numbers, uint8, [B, C, H, W].

        Raises:
            CorruptImageError: a file can't be decoded.
        """
        transform = self._transform(images.shape[1])
        transformed = []
        for i, seed in zip(index_B.tolist(), seed_B.tolist(), strict=True):
            picture = self._picture(images, i)
            with _seeded(seed):
                transformed.append(v2.functional.pil_to_tensor(transform(picture)))
        return torch.stack(transformed)

    def _picture(self, images: Images, i: int) -> Image.Image:
        if self.crop_scale is not None and isinstance(images, EncodedImages):
            return open_rgb(images.file(i), images.name(i))
        picture: Image.Image = v2.functional.to_pil_image(images.fetch(torch.tensor([i]))[0])
        return picture

    def _transform(self, size: int) -> v2.Transform:
        policies: dict[Policy, v2.Transform] = {
            "none": v2.Identity(),
            "randaugment": v2.RandAugment(self.operations, self.magnitude),
            "trivialaugment": v2.TrivialAugmentWide(),
            "autoaugment": v2.AutoAugment(),
        }
        crop = v2.Identity() if self.crop_scale is None else v2.RandomResizedCrop(size, self.crop_scale)
        return v2.Compose([crop, policies[self.policy]])


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Random numbers drawn inside are those of a seed."""
    generator = torch.default_generator
    outside = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(outside)
