"""Writes the first classes of CIFAR-100 as a folder of pictures: the data of the small job in README.md.

python results/small_cifar.py .data .data/cifar20
"""

import sys
from pathlib import Path

from torchvision.datasets import CIFAR100

CLASSES = 20


def main(data_dir: Path, out: Path) -> None:
    """train/CLASS/*.png of the training images and val/CLASS/*.png of the test images."""
    for part, train in (("train", True), ("val", False)):
        images = CIFAR100(data_dir, train=train)
        for number, (image, label) in enumerate(images):
            if label < CLASSES:
                folder = out / part / images.classes[label]
                folder.mkdir(parents=True, exist_ok=True)
                image.save(folder / f"{number:05}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
