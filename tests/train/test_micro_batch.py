"""Reading in parts gives the loss and the gradients of the whole batch."""

import copy

import pytest
import torch
from torch import nn

from crcd.models import Viewer, create_model
from crcd.relation import CRCDLoss, RelationConfig
from crcd.relation.view import View
from crcd.train.micro_batch import read_in_parts
from crcd.train.options import ComputeOptions
from crcd.train.reader import Reader

LABELS = torch.arange(64) % 4


class Plain(nn.Module):
    """No batch normalisation: what a sample gives does not depend on the others."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten())
        self.drop = nn.Dropout(0.0)
        self.fc = nn.Linear(6 * 36, 4)

    def forward(self, image):
        return self.fc(self.drop(self.body(image)))


def image() -> torch.Tensor:
    return torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("source", ["bank", "batch"])
@pytest.mark.parametrize("size", [1, 4, 5])
def test_the_relation_loss_is_that_of_the_whole_batch(size, source):
    torch.manual_seed(0)
    model = Plain()
    criterion = CRCDLoss(6 * 36, 6 * 36, RelationConfig(dim=8, negatives=20, source=source), labels=LABELS)
    teacher = Viewer(Plain(), ("body",), classifier="fc").eval()
    with torch.no_grad():
        of_teacher = teacher(image())
    index = torch.arange(12)
    found = []
    for micro_batch in (None, size):
        own, loss = copy.deepcopy(model), copy.deepcopy(criterion)
        read = Reader(Viewer(own, ("body",), classifier="fc"), ComputeOptions(micro_batch=micro_batch))
        torch.manual_seed(1)
        view = read(image())
        terms = loss(view, of_teacher, LABELS[:12], index)
        (terms.loss + view.maps["body"].mean()).backward()
        found.append((terms.loss.detach(), *(p.grad for p in [*own.parameters(), *loss.parameters()])))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)


def test_batch_normalisation_counts_each_part_once():
    torch.manual_seed(0)
    whole = Viewer(create_model("resnet8", 4, 1))
    parts = copy.deepcopy(whole)
    read_in_parts(parts, parts, image(), 6).logits.sum().backward()
    for part in image().split(6):
        whole(part)
    for name, buffer in whole.named_buffers():
        torch.testing.assert_close(dict(parts.named_buffers())[name], buffer)
    assert all(layer.momentum == 0.1 for layer in parts.modules() if isinstance(layer, nn.BatchNorm2d))


def test_activations_of_one_part_lie_in_memory():
    """Until gradients come back, nothing of a part is kept but what it was given and what it gave."""
    viewer = Viewer(create_model("resnet8", 4, 1))
    kept: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    def numbers_kept(read) -> int:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            view: View = read(image())
        assert view.logits.requires_grad
        return sum(kept)

    assert numbers_kept(lambda x: read_in_parts(viewer, viewer, x, 3)) < numbers_kept(viewer) / 20
