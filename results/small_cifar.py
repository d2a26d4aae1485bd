"""The small job of README.md: writes the first classes of CIFAR-100 as a folder of pictures; its narrow student.

python results/small_cifar.py .data .data/cifar20
"""

import sys
from pathlib import Path

from torchvision.datasets import CIFAR100

from crcd.models.classifier import ImageClassifier
from crcd.models.resnet import cifar_resnet

CLASSES = 20


def narrow_resnet8(num_classes: int, in_channels: int) -> ImageClassifier:
    """resnet8 of half its width: ``--student small_cifar:narrow_resnet8``."""
    return cifar_resnet(8, (8, 8, 16, 32), num_classes, in_channels)


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
