from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torch import Tensor, nn

from crcd.errors import CrcdError
from crcd.models import ImageFormat, Viewer, adapt_between, create_model, stage_names
from crcd.relation.head import MeanHead, linear_weight
from crcd.relation.view import View

HAND_MADE = nn.Sequential(
    nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8 * 30 * 30, 6), nn.ReLU(), nn.Linear(6, 7)
)


def network(name: str) -> tuple[nn.Module, int]:
    """A network of 7 classes and the size of the images that it takes."""
    if name == "hand-made":
        return deepcopy(HAND_MADE), 32
    if name == "torchvision/resnet18":
        return torchvision.models.resnet18(num_classes=7), 32
    return create_model(name, 7), 224 if "224" in name else 32


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("resnet8x4", 256),
        ("vgg8", 512),
        ("shufflenetv2", 1024),
        ("timm/resnet18", 512),
        ("timm/mobilenetv3_small_050", 1024),
        ("timm/vit_tiny_patch16_224", 192),
        ("torchvision/resnet18", 512),
        ("hand-made", 6),
    ],
)
def test_the_classifier_maps_the_feature_to_the_models_own_logits(name: str, width: int) -> None:
    model, size = network(name)
    viewer = Viewer(model).eval()
    for _ in range(2):  # the first image decides, the second uses what was decided
        image = torch.randn(2, 3, size, size)
        view = viewer(image)
        assert view.feature.shape == (2, width)
        assert linear_weight(view.classifier).shape == (7, width)
        torch.testing.assert_close(view.logits, model(image))
        torch.testing.assert_close(view.classifier(view.feature), view.logits)
        assert view.maps == {}


@pytest.mark.parametrize("name", ["resnet8", "timm/resnet18", "torchvision/resnet18"])
def test_gradients_reach_every_parameter(name: str) -> None:
    model, size = network(name)
    view = Viewer(model)(torch.randn(4, 3, size, size))
    (view.logits.logsumexp(dim=1).sum() + view.feature.square().sum()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_zoo_maps_are_read_in_the_one_pass() -> None:
    model, _ = network("resnet8")
    passes: list[int] = []
    model.body.stage1.register_forward_hook(lambda *_: passes.append(1))
    image = torch.randn(2, 3, 32, 32)
    view = Viewer(model, ["stage3", "stem"]).eval()(image)
    assert len(passes) == 1
    assert set(view.maps) == {"stage3", "stem"}
    torch.testing.assert_close(view.maps["stem"], model.body.stem(image))
    torch.testing.assert_close(view.maps["stage3"].mean(dim=(2, 3)), view.feature)


def test_maps_survive_the_next_stage() -> None:
    """No stage of the zoo writes into the output of the stage before."""
    for name in ("resnet8", "resnet50", "wrn_16_1", "vgg8", "mobilenetv2", "shufflenetv1", "shufflenetv2"):
        model, _ = network(name)
        names = [child for child, _ in model.body.named_children()]
        image = torch.randn(1, 3, 16, 16)
        with torch.no_grad():
            maps = Viewer(model, names).eval()(image).maps
            features = image
            for child, stage in model.body.named_children():
                features = stage(features)
                torch.testing.assert_close(maps[child], features.clone(), msg=f"{name}.{child}")
                features = features.clone()


@pytest.mark.parametrize("name", ["timm/resnet18", "torchvision/resnet18"])
def test_maps_of_other_networks(name: str) -> None:
    model, _ = network(name)
    model.eval()
    image = torch.randn(2, 3, 32, 32)
    view = Viewer(model, ["layer2", "bn1"])(image)
    assert view.maps["layer2"].shape == (2, 128, 4, 4)
    torch.testing.assert_close(view.maps["bn1"], model.bn1(model.conv1(image)))  # not after the in-place ReLU
    assert not any(module._forward_hooks for module in model.modules())


def test_a_viewer_can_be_copied() -> None:
    viewer = Viewer(network("torchvision/resnet18")[0], ["layer1"]).eval()
    image = torch.randn(1, 3, 32, 32)
    viewer(image)
    copy = deepcopy(viewer)
    with torch.no_grad():
        copy.model.fc.weight.zero_()
    assert viewer(image).logits.std() > 0
    torch.testing.assert_close(copy(image).logits[0], copy.model.fc.bias)


@pytest.mark.parametrize(("name", "maps"), [("resnet8", ["stage1", "stage3"]), ("timm/resnet18", [])])
def test_own_and_timm_networks_compile_in_one_graph(name: str, maps: list[str]) -> None:
    viewer = Viewer(network(name)[0], maps).eval()
    image = torch.randn(2, 3, 32, 32)
    expected, found = viewer(image), torch.compile(viewer, fullgraph=True, backend="eager")(image)
    assert isinstance(found, View)
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(dict(found.maps), dict(expected.maps))


@pytest.mark.parametrize(
    ("name", "layer", "hint"),
    [
        ("resnet8", "stage4", "did you mean stage"),
        ("resnet8", "@@", "known: stage1, stage2, stage3, stem"),
        ("torchvision/resnet18", "layer5", "did you mean layer"),
        ("timm/resnet18", "@@", "known: .*layer1"),
    ],
)
def test_unknown_maps(name: str, layer: str, hint: str) -> None:
    with pytest.raises(CrcdError, match=f"unknown feature map '{layer}': {hint}"):
        Viewer(network(name)[0], [layer])


class Headed(nn.Module):
    """A body of width 4 and whatever ``make_logits`` does with it and two linear layers."""

    def __init__(self, make_logits: object) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 4))
        self.unused = nn.Linear(4, 7)
        self.first, self.second = nn.Linear(4, 7), nn.Linear(4, 7)
        self.make_logits = make_logits

    def forward(self, image: Tensor) -> Tensor:
        return self.make_logits(self, self.body(image))


def two_heads(model: Headed, feature: Tensor) -> Tensor:
    return model.first(feature) + model.second(feature)


def scaled_head(model: Headed, feature: Tensor) -> Tensor:
    return 10 * model.first(feature)


def test_two_heads_cannot_be_told_apart_and_one_can_be_named() -> None:
    model = Headed(two_heads)
    image = torch.randn(3, 3, 8, 8)
    with pytest.raises(CrcdError, match=r"candidates: first, second$"):
        Viewer(model)(image)
    view = Viewer(model, classifier="second")(image)
    torch.testing.assert_close(view.logits, model.second(model.body(image)))
    torch.testing.assert_close(view.feature, model.body(image))


def test_a_head_whose_output_is_not_the_logits_is_not_guessed() -> None:
    with pytest.raises(CrcdError, match=r"0 linear layers give exactly its logits.*candidates: first$"):
        Viewer(Headed(scaled_head))(torch.randn(3, 3, 8, 8))


def test_a_named_head_may_be_any_module() -> None:
    model = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Sequential(nn.Linear(12, 9), nn.Tanh()))
    view = Viewer(model, classifier="2")(torch.randn(3, 3, 8, 8))
    assert view.classifier is model[2]
    torch.testing.assert_close(view.classifier(view.feature), view.logits)


def test_wrong_classifier_names() -> None:
    with pytest.raises(CrcdError, match="unknown layer 'frist': did you mean first"):
        Viewer(Headed(two_heads), classifier="frist")
    with pytest.raises(CrcdError, match="'unused' did not run"):
        Viewer(Headed(two_heads), classifier="unused")(torch.randn(3, 3, 8, 8))
    with pytest.raises(CrcdError, match=r"its classifier is \[3, 3, 8, 8\], not \[batch, width\]"):
        Viewer(Headed(two_heads), classifier="body")(torch.randn(3, 3, 8, 8))


def test_outputs_that_are_not_logits() -> None:
    with pytest.raises(CrcdError, match=r"gives \[3, 7, 2\], not logits"):
        Viewer(Headed(lambda model, feature: model.first(feature)[..., None].expand(-1, -1, 2)))(
            torch.randn(3, 3, 8, 8)
        )
    with pytest.raises(CrcdError, match="gives SimpleNamespace, not logits"):
        Viewer(Headed(lambda _, feature: SimpleNamespace(logits=feature)))(torch.randn(3, 3, 8, 8))


def test_no_linear_layer_at_all() -> None:
    with pytest.raises(CrcdError, match="no linear layer ran"):
        Viewer(nn.Sequential(nn.Conv2d(3, 5, 8), nn.Flatten()))(torch.randn(3, 3, 8, 8))


@pytest.mark.parametrize("layer", ["unused", "pair"])
def test_maps_that_give_no_tensor_or_do_not_run(layer: str) -> None:
    model = Headed(scaled_head)
    model.pair = nn.Identity()
    model.make_logits = lambda model, feature: model.first(model.pair((feature, feature))[0])
    with pytest.raises(CrcdError, match=f"layer '{layer}' (gives no tensor|does not run)"):
        Viewer(model, [layer])(torch.randn(3, 3, 8, 8))


def test_a_timm_network_without_classifier() -> None:
    model = create_model("timm/resnet18", 7)
    model.reset_classifier(0)
    with pytest.raises(CrcdError, match=r"0 linear layers give exactly its logits.*candidates: layer4"):
        Viewer(model).eval()(torch.randn(1, 3, 32, 32))


def test_two_heads_that_are_averaged_are_one_linear_map_of_both_features() -> None:
    model = Headed(lambda model, feature: (model.first(feature[:, :4]) + model.second(feature[:, 4:])) / 2)
    model.body[-1] = nn.Linear(12, 8)
    image = torch.randn(3, 3, 8, 8)
    view = Viewer(model)(image)
    assert isinstance(view.classifier, MeanHead)
    torch.testing.assert_close(view.feature, model.body(image))
    torch.testing.assert_close(view.logits, model(image))
    torch.testing.assert_close(view.classifier(view.feature), view.logits)
    torch.testing.assert_close(view.classifier.weight[:, 4:], model.second.weight / 2)
    one = Viewer(model, classifier="second")(image)
    torch.testing.assert_close(one.logits, model.second(view.feature[:, 4:]))


@pytest.mark.parametrize("name", ["torchvision/resnet18", "hand-made"])
def test_networks_with_one_last_layer_are_read_without_hooks_and_compile(name: str) -> None:
    model, size = network(name)
    viewer = Viewer(model).eval()
    image = torch.randn(2, 3, size, size)
    expected = viewer(image)
    found = torch.compile(viewer, fullgraph=True, backend="eager")(image)
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(found.feature, expected.feature)


def test_dropout_before_the_head_gives_one_pair_of_feature_and_logits() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 40), nn.Dropout(0.5), nn.Linear(40, 5))
    viewer, image = Viewer(model), torch.randn(4, 3, 2, 2)
    for settled in (False, True):
        view = viewer.train()(image)
        assert (view.feature == 0).any(), settled
        torch.testing.assert_close(view.classifier(view.feature), view.logits)
        assert not (viewer.eval()(image).feature == 0).any()


def test_a_network_that_goes_on_after_its_head_is_not_read_without_it() -> None:
    """What follows the head leaves these logits as they are, but not the feature in their place."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Linear(6, 5), nn.Hardtanh(-1e3, 1e3))
    with torch.no_grad():
        model[1].bias.fill_(1e4)
        model[2].weight.mul_(1e-3)
    viewer, image = Viewer(model).eval(), torch.randn(4, 3, 2, 2)
    for _ in range(2):
        view = viewer(image)
        torch.testing.assert_close(view.feature, model[1](model[0](image)))
        torch.testing.assert_close(view.logits, model(image))


@pytest.mark.parametrize(
    ("name", "stages"), [("resnet8", ("stem", "stage1", "stage2", "stage3")), ("timm/resnet18", None)]
)
def test_stages_are_maps_that_shrink_from_the_image_on(name, stages):
    model = create_model(name, 5).eval()
    names = stage_names(model)
    assert stages in (None, names)
    view = Viewer(model, names)(torch.randn(2, 3, 64, 64))
    assert tuple(view.maps) == names
    sides = [view.maps[name].shape[-1] for name in names]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] > sides[-1]


def test_a_network_without_known_stages():
    with pytest.raises(CrcdError, match="Sequential: its stages are not known"):
        stage_names(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)))


@pytest.mark.parametrize("name", ["resnet8", "torchvision/resnet18"])
def test_images_are_adapted_first_in_one_graph(name: str) -> None:
    model, _ = network(name)
    formats = [ImageFormat(3, size, (mean,) * 3, (0.5,) * 3) for size, mean in ((16, 0.5), (32, 0.25))]
    adapt = adapt_between(*formats)
    viewer, image = Viewer(model, adapt=adapt).eval(), torch.randn(2, 3, 16, 16)
    expected = viewer(image)
    torch.testing.assert_close(expected.logits, model(adapt(image)))
    found = torch.compile(viewer, fullgraph=True, backend="eager")(image)
    torch.testing.assert_close(found.logits, expected.logits)
