"""The table of architectures that can be read: feature, head and gradient agree with the network and with autograd."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crcd.errors import CrcdError
from crcd.models import Viewer, create_model, fold_batchnorm
from crcd.models.heads import linear_layers
from crcd.relation.gradient import gradient_element
from crcd.relation.head import MeanHead, linear_weight

CLASSES = 5

TIMM = {
    "resnet10t": 32,
    "resnext26ts": 32,
    "resnetv2_50": 32,
    "resnetv2_18": 32,
    "seresnet18": 32,
    "regnetx_002": 32,
    "regnety_002": 32,
    "densenet121": 32,
    "dla34": 32,
    "dpn48b": 32,
    "hrnet_w18_small": 32,
    "vgg11": 32,
    "inception_v3": 96,
    "efficientnet_b0": 32,
    "tf_efficientnetv2_b0": 32,
    "mobilenetv2_050": 32,
    "mobilenetv3_small_050": 32,
    "mobilenetv4_conv_small": 32,
    "lcnet_050": 32,
    "ghostnet_050": 32,
    "rexnet_100": 32,
    "repvgg_a0": 32,
    "repghostnet_050": 32,
    "repvit_m0_9": 64,
    "mobileone_s0": 32,
    "fastvit_t8": 64,
    "hgnetv2_b0": 32,
    "cspresnet50": 32,
    "nf_regnet_b0": 32,
    "convnext_atto": 32,
    "convnextv2_atto": 32,
    "edgenext_xx_small": 64,
    "convmixer_768_32": 28,
    "poolformer_s12": 32,
    "caformer_s18": 32,
    "vit_tiny_patch16_224": 224,
    "vit_small_patch16_rope_224": 224,
    "deit_tiny_patch16_224": 224,
    "deit_tiny_distilled_patch16_224": 224,
    "deit3_small_patch16_224": 224,
    "beit_base_patch16_224": 224,
    "cait_xxs24_224": 224,
    "xcit_nano_12_p16_224": 224,
    "pit_ti_224": 224,
    "pit_ti_distilled_224": 224,
    "levit_128s": 224,
    "efficientformer_l1": 224,
    "swiftformer_xs": 64,
    "crossvit_9_240": 240,
    "swin_tiny_patch4_window7_224": 224,
    "swinv2_cr_tiny_ns_224": 224,
    "twins_svt_small": 64,
    "pvt_v2_b0": 64,
    "mobilevit_xxs": 64,
    "coatnet_nano_rw_224": 224,
    "maxvit_rmlp_pico_rw_256": 256,
    "mvitv2_tiny": 224,
    "tiny_vit_5m_224": 224,
    "efficientvit_b0": 64,
    "efficientvit_m0": 224,
    "tnt_s_legacy_patch16_224": 224,
    "visformer_tiny": 224,
    "mixer_s32_224": 224,
    "gmixer_12_224": 224,
    "resmlp_12_224": 224,
    "gmlp_ti16_224": 224,
    "sequencer2d_s": 224,
}
"""Side of the images, by name."""

TORCHVISION = {
    "alexnet": 64,
    "convnext_tiny": 32,
    "densenet121": 32,
    "efficientnet_b0": 32,
    "googlenet": 32,
    "inception_v3": 96,
    "maxvit_t": 224,
    "mnasnet0_5": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "regnet_y_400mf": 32,
    "resnet18": 32,
    "shufflenet_v2_x0_5": 32,
    "swin_t": 32,
    "swin_v2_t": 32,
    "vgg11_bn": 32,
    "vit_b_32": 224,
}

SIZES = {
    f"{library}/{name}": size
    for library, of in (("timm", TIMM), ("torchvision", TORCHVISION))
    for name, size in of.items()
}

QUICK = {
    *("timm/resnet10t", "timm/resnetv2_18", "timm/regnety_002", "timm/mobilenetv3_small_050", "timm/lcnet_050"),
    *("timm/repghostnet_050", "timm/rexnet_100", "timm/convnext_atto", "timm/mobilevit_xxs", "timm/efficientvit_m0"),
    *("timm/repvit_m0_9", "timm/swiftformer_xs", "timm/pit_ti_distilled_224", "timm/mixer_s32_224"),
    *("torchvision/resnet18", "torchvision/mobilenet_v3_small", "torchvision/googlenet", "torchvision/swin_t"),
}
"""Every way of reading a network is among them."""


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    """Every number within ``tolerance`` of the largest; they are not all zero."""
    assert found.shape == expected.shape
    assert 0 < expected.abs().max() < torch.inf
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def network(name: str) -> nn.Module:
    """Untrained, but with a head that does not start at zero."""
    torch.manual_seed(0)
    model = create_model(name, CLASSES)
    with torch.no_grad():
        for layer in linear_layers(model).values():
            if not layer.weight.any():
                layer.weight.normal_(std=0.05)
    return model


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in SIZES])
def test_feature_head_and_gradient_agree_with_the_network_and_autograd(name: str) -> None:
    model, size = network(name), SIZES[name]
    image, target = torch.randn(2, 3, size, size), torch.tensor([1, 3])
    viewer = Viewer(model).eval()
    with torch.no_grad():
        logits = model.eval()(image)
        views = [viewer(image) for _ in range(2)]  # the first image may decide how the second is read
    for view in views:
        weight_CD = linear_weight(view.classifier)
        assert weight_CD is not None
        assert weight_CD.shape == (CLASSES, view.feature.shape[1])
        assert_close(view.logits, logits)
        assert_close(view.classifier(view.feature), logits)
        feature = view.feature.requires_grad_()
        loss = F.cross_entropy(view.classifier(feature), target, reduction="sum")
        assert_close(gradient_element(view, target), torch.autograd.grad(loss, feature)[0])
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.5
    with torch.no_grad():
        trained = viewer.train()(image)
        assert_close(trained.classifier(trained.feature), trained.logits)
        folded = Viewer(fold_batchnorm(model.eval())).eval()(image)
        assert_close(folded.logits, model(image), 1e-3)


@pytest.mark.parametrize(
    ("name", "width"), [("timm/deit_tiny_distilled_patch16_224", 2 * 192), ("timm/pit_ti_distilled_224", 2 * 256)]
)
def test_distilled_heads_are_one_linear_map_of_both_tokens(name: str, width: int) -> None:
    view = Viewer(network(name)).eval()(torch.randn(1, 3, 224, 224))
    assert isinstance(view.classifier, MeanHead)
    assert view.feature.shape == (1, width)


def test_a_nonlinearity_after_the_last_convolution_is_refused() -> None:
    with pytest.raises(CrcdError, match=r"SqueezeNet: 0 linear layers give exactly its logits.*candidates: "):
        Viewer(create_model("torchvision/squeezenet1_1", CLASSES)).eval()(torch.randn(2, 3, 64, 64))
