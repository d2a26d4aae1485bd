import pytest
import torch
from torch import Tensor, nn

from crcd.models import Viewer, create_model, fold_batchnorm
from crcd.models.classifier import ImageClassifier


def with_random_statistics(model: nn.Module) -> nn.Module:
    """Every BatchNorm gets statistics, scale and shift unlike the fresh ones, of the order of a trained network's."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 1.0, 3.0)
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return model.eval()


def count_norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


# A wide residual network normalises block inputs: only the second norm of its 6 blocks follows a convolution.
@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("resnet20", 0),
        ("resnet8x4", 0),
        ("vgg8", 0),
        ("mobilenetv2", 0),
        ("shufflenetv1", 0),
        ("shufflenetv2", 0),
        ("wrn_16_1", 7),
        ("timm/resnet18", 0),
        ("timm/mobilenetv3_small_050", 0),
    ],
)
def test_same_logits_without_the_norms(name: str, left: int) -> None:
    model = with_random_statistics(create_model(name, 10))
    folded = fold_batchnorm(model)
    image = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        expected = model(image)
        torch.testing.assert_close(
            folded(image), expected, rtol=1e-5, atol=1e-5 * max(1.0, expected.abs().max().item())
        )
    assert count_norms(folded) == left
    assert not any(module.training for module in folded.modules())


def test_the_original_is_untouched() -> None:
    model = create_model("resnet8", 10).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fold_batchnorm(model)
    assert model.training
    assert model.state_dict().keys() == before.keys()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_a_folded_network_is_still_a_classifier_of_the_zoo() -> None:
    model = with_random_statistics(create_model("resnet8", 10))
    folded = fold_batchnorm(model)
    assert isinstance(folded, ImageClassifier)
    image = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        expected, found = (Viewer(network, ["stage2"])(image) for network in (model, folded))
    torch.testing.assert_close(found.feature, expected.feature, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.maps["stage2"], expected.maps["stage2"], rtol=1e-4, atol=1e-5)


class Awkward(nn.Module):
    """Of its three norms only the last may be folded: one convolution runs twice, one output has two readers."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.norm_of_twice = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.read_twice, self.norm_of_read_twice = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.plain, self.norm_of_plain = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm_of_twice(self.twice(self.twice(x)))
        y = self.read_twice(x)
        return self.norm_of_plain(self.plain(self.norm_of_read_twice(y) + y))


def test_only_pairs_of_layers_used_once_are_folded() -> None:
    model = with_random_statistics(Awkward())
    folded = fold_batchnorm(model)
    assert isinstance(folded.norm_of_plain, nn.Identity)
    assert count_norms(folded) == 2
    image = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(folded(image), model(image))


class Standardised(nn.Conv2d):
    """A convolution that is not W * x + b: its weight is centred first."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight - self.weight.mean(), self.bias)


def test_a_subclassed_convolution_is_left_alone() -> None:
    model = with_random_statistics(nn.Sequential(Standardised(3, 4, 1), nn.BatchNorm2d(4)))
    assert count_norms(fold_batchnorm(model)) == 1


def test_batch_statistics_are_not_folded() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))
    assert count_norms(fold_batchnorm(model)) == 1


class Untraceable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return x if x.sum() > 0 else -x


def test_an_untraceable_network_is_copied_in_eval_mode() -> None:
    model = with_random_statistics(Untraceable())
    folded = fold_batchnorm(model.train())
    assert folded is not model
    assert not folded.training
    assert count_norms(folded) == 1
    image = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(folded(image), model.eval()(image))
