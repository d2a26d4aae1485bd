"""The zoo against the networks of the CRD benchmark: parameters and multiply-adds at 100 classes and 32x32."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from crcd.errors import CrcdError
from crcd.models import ImageClassifier, count_multiply_adds, count_parameters, create_model, model_names

# Counted on the benchmark's own code, which gave the same logits as ours under the same weights.
COST = {
    "resnet8": (83_892, 12_507_392),
    "resnet14": (181_108, 26_663_168),
    "resnet20": (278_324, 40_818_944),
    "resnet32": (472_756, 69_130_496),
    "resnet44": (667_188, 97_442_048),
    "resnet56": (861_620, 125_753_600),
    "resnet110": (1_736_564, 253_155_584),
    "resnet8x4": (1_233_540, 177_071_104),
    "resnet32x4": (7_433_860, 1_083_040_768),
    "resnet50": (23_705_252, 1_298_014_208),
    "wrn_16_1": (180_916, 26_663_168),
    "wrn_16_2": (703_284, 101_118_464),
    "wrn_40_1": (569_780, 83_286_272),
    "wrn_40_2": (2_255_156, 327_610_880),
    "vgg8": (3_965_028, 96_192_512),
    "vgg11": (9_277_284, 209_438_720),
    "vgg13": (9_462_180, 284_936_192),
    "vgg16": (14_774_436, 398_182_400),
    "vgg19": (20_086_692, 511_428_608),
    "mobilenetv2": (812_836, 6_523_648),
    "shufflenetv1": (949_258, 38_691_456),
    "shufflenetv2": (1_355_528, 44_504_448),
}
# Channels and height of each stage's output at 32x32, in order, one network a family.
MAPS = {
    "resnet20": [(16, 32), (16, 32), (32, 16), (64, 8)],
    "resnet50": [(64, 32), (256, 32), (512, 16), (1024, 8), (2048, 4)],
    "wrn_16_2": [(16, 32), (32, 32), (64, 16), (128, 8), (128, 8)],
    "vgg8": [(64, 32), (128, 16), (256, 8), (512, 4), (512, 4)],
    "mobilenetv2": [(16, 16), (12, 16), (16, 8), (48, 4), (160, 2), (1280, 2)],
    "shufflenetv1": [(24, 32), (240, 16), (480, 8), (960, 4)],
    "shufflenetv2": [(24, 32), (116, 16), (232, 8), (464, 4), (1024, 4)],
}
FAMILIES = list(MAPS)
# First logits of the benchmark's own networks under the weights of ``with_wave_weights``.
WAVE_LOGITS = {
    "resnet20": (1.743174e07, -1.797395e07, -4.201647e07),
    "resnet50": (2.016617e16, -1.566194e16, -3.619147e16),
    "wrn_16_2": (5.734007e05, -1.150075e06, -4.248927e05),
    "vgg8": (5.641234e02, 3.198976e02, 5.437851e01),
    "mobilenetv2": (1.387621e-01, 5.748072e-02, -8.588685e-02),
    "shufflenetv1": (8.131285e01, 1.121005e02, 1.327747e02),
    "shufflenetv2": (1.070310e-01, 5.337117e-02, -4.979165e-02),
}


def wave(size: int, phase: float = 0.0) -> Tensor:
    return torch.sin(torch.arange(size, dtype=torch.float64) * 0.7 + phase)


def with_wave_weights(model: nn.Module) -> nn.Module:
    """Weights that depend on the order of the layers and on nothing else, in float64 and eval mode."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.Linear)]
    for number, layer in enumerate(layers):
        values = wave(layer.weight.numel(), number).view_as(layer.weight)
        is_norm = isinstance(layer, nn.BatchNorm2d)
        layer.weight.data = 1 + 0.3 * values if is_norm else values * 2 / math.sqrt(layer.weight[0].numel())
        if layer.bias is not None:
            layer.bias.data = 0.1 * torch.cos(torch.arange(layer.bias.numel(), dtype=torch.float64))
    return model.double().eval()


def test_the_zoo_is_exactly_the_benchmark() -> None:
    assert set(model_names()) == set(COST)


@pytest.mark.parametrize("name", COST)
def test_cost_and_logits_at_100_classes(name: str) -> None:
    model = create_model(name, 100)
    assert count_parameters(model) == COST[name][0]
    assert count_multiply_adds(model, (3, 32, 32)) == COST[name][1]
    with torch.no_grad():
        logits = model.eval()(torch.randn(2, 3, 32, 32))
    assert logits.shape == (2, 100)
    assert logits.isfinite().all()
    assert not torch.equal(logits[0], logits[1])


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_are_the_benchmarks(name: str) -> None:
    image = torch.sin(torch.arange(3 * 32 * 32, dtype=torch.float64) ** 1.1).view(1, 3, 32, 32)
    with torch.no_grad():
        logits = with_wave_weights(create_model(name, 100))(image)
    assert tuple(logits[0, :3].tolist()) == pytest.approx(WAVE_LOGITS[name], rel=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_stage_outputs(name: str) -> None:
    model = create_model(name, 4).eval()
    assert isinstance(model, ImageClassifier)
    features, shapes = torch.randn(1, 3, 32, 32), []
    with torch.no_grad():
        for stage in model.body:
            features = stage(features)
            shapes.append((features.shape[1], features.shape[2]))
    assert shapes == MAPS[name]
    names = [child for child, _ in model.body.named_children()]
    stages = len(names) - ("head" in names)
    assert names == ["stem", *(f"stage{number}" for number in range(1, stages)), "head"][: len(names)]


@pytest.mark.parametrize("name", FAMILIES)
def test_grey_16x16_images_and_gradients(name: str) -> None:
    model = create_model(name, 10, in_channels=1)
    model(torch.randn(4, 1, 16, 16)).logsumexp(dim=1).sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
    assert next(model.parameters()).grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["resnet8", "vgg8", "mobilenetv2"])
def test_timm_methods_agree_with_forward(name: str) -> None:
    model = create_model(name, 5).eval()
    assert isinstance(model, ImageClassifier)
    image = torch.randn(3, 3, 32, 32)
    features = model.forward_features(image)
    feature = model.forward_head(features, pre_logits=True)
    assert feature.shape == (3, model.feature_dim)
    torch.testing.assert_close(feature, features.mean(dim=(2, 3)))
    torch.testing.assert_close(model.get_classifier()(feature), model(image))
    torch.testing.assert_close(model.forward_head(features), model(image))


def test_vgg_meets_its_last_stage_at_4x4_from_64x64_too() -> None:
    model = create_model("vgg8", 5).eval()
    assert model.forward_features(torch.randn(1, 3, 64, 64)).shape == (1, 512, 4, 4)


@pytest.mark.parametrize("name", ["resnet20", "wrn_16_2", "vgg8", "mobilenetv2"])
def test_convolutions_start_at_he_fan_out(name: str) -> None:
    torch.manual_seed(0)
    for module in create_model(name, 100).modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 4000:
            fan_out = module.out_channels * math.prod(module.kernel_size)
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.06)


def test_classifiers_start_as_in_the_benchmark() -> None:
    torch.manual_seed(0)
    for name in ("vgg8", "mobilenetv2"):
        assert create_model(name, 100).get_classifier().weight.std().item() == pytest.approx(0.01, rel=0.05)
    for name in ("vgg8", "mobilenetv2", "wrn_16_1"):
        assert create_model(name, 100).get_classifier().bias.eq(0).all()
    for name in ("resnet8", "shufflenetv1"):
        assert not create_model(name, 100).get_classifier().bias.eq(0).any()


def test_timm_by_name() -> None:
    model = create_model("timm/resnet18", 7, in_channels=1).eval()
    assert model(torch.randn(1, 1, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet21", "did you mean .*resnet20"),
        ("ResNet-56", "did you mean .*resnet56"),
        ("timm/resnet19", "did you mean .*timm/resnet18"),
        ("efficientnet_b0", "timm has a network of this name, write timm/efficientnet_b0$"),
        ("@@@", "known: mobilenetv2, resnet110, .*wrn_40_2$"),
    ],
)
def test_unknown_names_are_one_line_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(CrcdError, match=f"^unknown model '{name}': {hint}") as caught:
        create_model(name, 10)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("make", [partial(create_model, "resnet8", 0), partial(create_model, "resnet8", 10, 0)])
def test_sizes_below_one(make: partial[nn.Module]) -> None:
    with pytest.raises(CrcdError, match="at least 1"):
        make()
