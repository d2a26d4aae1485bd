"""scikit-learn's handwritten digits: 1,797 real 8x8 images that come with its wheel."""

import numpy as np
import torch
from torch.nn import functional as F

from crcd.data.dataset import DataSet, TensorImages


def digits(image_size: int | None) -> DataSet:
    """1,437 training and 360 test images, one channel, bilinearly enlarged to ``image_size`` (16).

    The split is stratified and the same for every seed.
    """
    from sklearn.datasets import load_digits  # a second to import: only where the digits are used
    from sklearn.model_selection import train_test_split

    size = image_size or 16
    source = load_digits()
    image_NCHW = torch.from_numpy(source.images).float()[:, None] * (255 / 16)
    image_NCHW = F.interpolate(image_NCHW, size=(size, size), mode="bilinear", align_corners=False)
    image_NCHW = image_NCHW.round().to(torch.uint8)
    labels = torch.from_numpy(source.target).long()
    train, test = train_test_split(np.arange(len(labels)), test_size=360, stratify=source.target, random_state=0)
    pixels = image_NCHW[train].float() / 255
    return DataSet(
        name="digits",
        train=TensorImages(image_NCHW[train], labels[train]),
        test=TensorImages(image_NCHW[test], labels[test]),
        class_names=tuple(str(digit) for digit in range(10)),
        mean=(pixels.mean().item(),),
        std=(pixels.std().item(),),
    )
