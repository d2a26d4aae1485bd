"""The small job of README.md: writes the first classes of CIFAR-100 as a folder of pictures; its narrow student.

python results/small_cifar.py .data .data/cifar20
"""

import argparse
from pathlib import Path

from torchvision.datasets import CIFAR100

from crcd.models.classifier import ImageClassifier
from crcd.models.resnet import cifar_resnet

CLASSES = 20


def narrow_resnet8(num_classes: int, in_channels: int) -> ImageClassifier:
    """resnet8 of half its width: ``--student small_cifar:narrow_resnet8``."""
    return cifar_resnet(8, (8, 8, 16, 32), num_classes, in_channels)


def main() -> None:
    """Write train/CLASS/*.png of the training images and val/CLASS/*.png of the test images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path, help="where the official cifar-100-python lies")
    parser.add_argument("out", type=Path, help="the folder to write")
    options = parser.parse_args()
    for part, train in (("train", True), ("val", False)):
        try:
            images = CIFAR100(options.data_dir, train=train)
        except RuntimeError:
            where = options.data_dir
            parser.error(f"CIFAR-100 is not in {where}: crcd data fetch cifar100 --data-dir {where}")
        for number, (image, label) in enumerate(images):
            if label < CLASSES:
                folder = options.out / part / images.classes[label]
                folder.mkdir(parents=True, exist_ok=True)
                image.save(folder / f"{number:05}.png")


if __name__ == "__main__":
    main()
