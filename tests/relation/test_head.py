import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crcd.relation.gradient import gradient_element
from crcd.relation.head import LayerHead, LinearHead, MeanHead, linear_weight
from crcd.relation.view import View

B, C = 3, 4


def assert_linear(head: LinearHead, width: int, expected: Tensor, feature_BD: Tensor) -> None:
    """The head is W f + b, and the closed-form gradient is autograd's."""
    logits = head(feature_BD)
    torch.testing.assert_close(logits, expected)
    weight_CD = linear_weight(head)
    assert weight_CD is not None
    assert weight_CD.shape == (C, width)
    target = torch.tensor([0, 3, 1])
    feature = feature_BD.detach().requires_grad_()
    (gradient_BD,) = torch.autograd.grad(F.cross_entropy(head(feature), target, reduction="sum"), feature)
    torch.testing.assert_close(gradient_element(View(logits, feature_BD, head), target), gradient_BD)


def test_a_convolution_is_its_layer_on_maps_of_one_pixel() -> None:
    conv, feature = nn.Conv2d(5, C, 1), torch.randn(B, 5)
    assert_linear(LayerHead(conv), 5, conv(feature[:, :, None, None]).flatten(1), feature)


def test_the_mean_of_heads_is_linear_in_all_their_features() -> None:
    first, second = nn.Linear(5, C), nn.Linear(2, C, bias=False)
    f1, f2 = torch.randn(B, 5), torch.randn(B, 2)
    assert_linear(MeanHead([first, second]), 7, (first(f1) + second(f2)) / 2, torch.cat([f1, f2], dim=1))
    without = [nn.Linear(5, C, bias=False) for _ in range(2)]
    assert MeanHead(without).bias is None


def test_gradients_reach_the_layers_themselves() -> None:
    layers = [nn.Linear(5, C), nn.Linear(5, C)]
    view = View(torch.randn(B, C, requires_grad=True), torch.randn(B, 10), MeanHead(layers))
    gradient_element(view, torch.arange(B)).square().sum().backward()
    assert all(layer.weight.grad is not None and layer.weight.grad.any() for layer in layers)


def test_other_classifiers_have_no_weight() -> None:
    class Cosine(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return F.linear(F.normalize(input), F.normalize(self.weight))

    assert linear_weight(nn.Linear(5, C)) is not None
    assert linear_weight(Cosine(5, C)) is None
    assert linear_weight(nn.Sequential(nn.Linear(5, C))) is None
