"""What the examples share: scikit-learn's digits, a teacher of them, and the accuracy of a network."""

from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from crcd import Viewer
from crcd.models import create_model

LABELLED = 250
"""Images that a student learns from; its teacher has seen all 1,437 training images."""


class Numbered(Dataset):
    """Any data set of images and classes, with each image's number: 0 to N - 1, the same in every epoch."""

    def __init__(self, images: Dataset) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        image, target = self.images[index]
        return image, target, index


@cache
def splits() -> tuple[TensorDataset, TensorDataset]:
    """Training and test images, [1, 8, 8] from -1 to 1."""
    source = load_digits()
    image = torch.from_numpy(source.images).float()[:, None] / 8 - 1
    target = torch.from_numpy(source.target)
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(0))
    train, test = order[:-360], order[-360:]
    return TensorDataset(image[train], target[train]), TensorDataset(image[test], target[test])


def student_images() -> TensorDataset:
    """The labelled images."""
    return TensorDataset(*splits()[0][:LABELLED])


@cache
def trained_teacher() -> nn.Module:
    """resnet20 after four epochs; in your own loop this is where you load your weights."""
    torch.manual_seed(0)
    model, epochs = create_model("resnet20", num_classes=10, in_channels=1), 4
    loader = DataLoader(splits()[0], batch_size=64, shuffle=True, drop_last=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=epochs * len(loader))
    for _ in range(epochs):
        for image, target in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(image), target).backward()
            optimizer.step()
            schedule.step()
    return model.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(student: Viewer) -> float:
    """Share of the test images that are classified right, percent."""
    image, target = splits()[1].tensors
    return 100 * (student.eval()(image).logits.argmax(dim=1) == target).float().mean().item()
