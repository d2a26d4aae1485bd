"""The loop on the page about several processes runs as it stands, and comes to the same in any number of them."""

import pytest
import torch
from torch import nn

from crcd import distributed
from pages import ROOT, python_blocks
from together import together

PAGE = ROOT / "docs" / "distributed.md"


def trained():
    (block,) = python_blocks(PAGE)
    names = {}
    exec(compile(block, PAGE.name, "exec"), names)
    torch.manual_seed(0)
    student = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 4))
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 4))
    before = student[1].weight.clone()
    image, labels = torch.randn(160, 1, 4, 4), torch.arange(160) % 4
    batches = [(image[i], labels[i], i) for i in map(distributed.share, torch.arange(160).split(32))]
    criterion = names["distil_together"](student, teacher, batches, labels, 8, 32)
    assert not torch.equal(before, student[1].weight)
    return list(student.parameters()), criterion.state_dict()


@pytest.mark.parametrize("size", [2, 4])
def test_loop_of_ones_own(size):
    expected = trained()
    first, *others = together(size, trained)
    torch.testing.assert_close(first, expected, rtol=1e-4, atol=1e-5)
    for other in others:
        torch.testing.assert_close(other, first, rtol=0, atol=0)
