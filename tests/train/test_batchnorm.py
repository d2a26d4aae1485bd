import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from crcd import distributed
from crcd.train.batchnorm import whole_batch_statistics
from together import together


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [
        nn.BatchNorm2d(3),
        BatchNormAct2d(3),
        nn.Flatten(),
        nn.BatchNorm1d(12),
        nn.BatchNorm1d(12, affine=False, momentum=None),
    ]
    return nn.Sequential(*layers).double()


def trained(enabled: bool) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
    """Output, gradients and statistics of two steps on eight images."""
    model = network()
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        image = 3 + torch.randn(8, 3, 2, 2, generator=generator, dtype=torch.double)
        with whole_batch_statistics(enabled):
            own = model(distributed.share(image))
        whole = distributed.gather(own, 8)
        (whole * torch.randn(whole.shape, generator=generator)).sum().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    distributed.average(gradients)
    return whole.detach(), gradients, list(model.buffers())


@pytest.mark.parametrize("size", [2, 4])
def test_statistics_and_gradients_are_those_of_the_whole_batch(size):
    expected = trained(True)
    for answer in together(size, trained, True):
        torch.testing.assert_close(answer, expected, rtol=1e-12, atol=1e-12)


def test_without_it_each_part_has_its_own():
    outputs = [output for output, _, _ in together(2, trained, False)]
    assert not torch.allclose(outputs[0], trained(False)[0], atol=0.01)
