import pytest
import torch
from torch import nn

from crcd.models import count_multiply_adds, count_parameters, create_model


def test_one_convolution_by_hand() -> None:
    # 5 output channels at 8 x 8 places, each a product of 3 channels x 3 x 3; then 320 x 7.
    model = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(320, 7))
    assert count_multiply_adds(model, (3, 8, 8)) == 5 * 8 * 8 * 3 * 3 * 3 + 320 * 7
    assert count_parameters(model) == 5 * 27 + 5 + 320 * 7 + 7


def test_grouped_convolution_by_hand() -> None:
    assert count_multiply_adds(nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=6), (6, 8, 8)) == 6 * 4 * 4 * 9


def test_resnet20_as_published() -> None:
    assert count_multiply_adds(create_model("resnet20", 10), (3, 32, 32)) == pytest.approx(41e6, rel=0.01)


def test_the_model_is_left_as_it_was() -> None:
    model = create_model("resnet8", 10).train()
    model.body.stem.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    count_multiply_adds(model, (3, 16, 16))
    assert [module.training for module in model.modules()] == modes
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_modes_come_back_after_an_error() -> None:
    model = create_model("resnet8", 10).train()
    with pytest.raises(RuntimeError):
        count_multiply_adds(model, (7, 16, 16))
    assert all(module.training for module in model.modules())


def test_shared_parameters_count_once() -> None:
    layer = nn.Linear(4, 4, bias=False)
    assert count_parameters(nn.Sequential(layer, nn.ReLU(), layer)) == 16
