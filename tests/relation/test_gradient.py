"""Feature gradients in closed form against autograd, and the trap of a bias that swamps them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from crcd.models import Viewer, create_model
from crcd.relation import View, feature_gradient, feature_gradient_autograd
from crcd.relation.embedding import Embedding
from crcd.relation.gradient import gradient_element


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_1", "vgg8", "mobilenetv2", "shufflenetv2"])
def test_first_and_second_order_on_networks(name):
    torch.manual_seed(0)
    viewer = Viewer(create_model(name, 10)).double().eval()
    image, target = torch.randn(4, 3, 16, 16, dtype=torch.float64), torch.tensor([0, 3, 9, 3])
    image.requires_grad_()
    direction = torch.randn(4, 1, dtype=torch.float64)
    found = []
    for closed in (True, False):
        view = viewer(image)
        if closed:
            g = feature_gradient(view.logits, target, view.classifier.weight)
        else:
            loss = F.cross_entropy(view.classifier(view.feature), target, reduction="sum")
            (g,) = torch.autograd.grad(loss, view.feature, create_graph=True)
        second = torch.autograd.grad((g * direction).square().sum(), [image, view.classifier.weight])
        found.append((g, *second))
    for closed, reference in zip(*found, strict=True):
        assert closed.abs().max() > 0
        torch.testing.assert_close(closed, reference, rtol=1e-8, atol=1e-10)


def test_gradcheck_second_order():
    torch.manual_seed(0)
    logits = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, 4, 2])
    assert torch.autograd.gradcheck(lambda z, w: feature_gradient(z, target, w), (logits, weight))
    assert torch.autograd.gradgradcheck(lambda z, w: feature_gradient(z, target, w), (logits, weight))


def test_head_that_is_not_linear_falls_back_to_autograd():
    torch.manual_seed(0)
    head = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double()
    feature, target = torch.randn(5, 6, dtype=torch.float64, requires_grad=True), torch.tensor([0, 1, 2, 3, 0])
    g = gradient_element(View(head(feature), feature, head), target)
    step, expected = 1e-6, torch.zeros_like(feature)
    for i in range(5):
        for d in range(6):
            moved = feature.detach().clone()
            moved[i, d] += step
            high = F.cross_entropy(head(moved), target, reduction="sum")
            moved[i, d] -= 2 * step
            expected[i, d] = (high - F.cross_entropy(head(moved), target, reduction="sum")) / (2 * step)
    torch.testing.assert_close(g, expected, rtol=1e-6, atol=1e-8)
    assert g.requires_grad


def test_teacher_without_graph_gets_a_gradient_without_graph():
    head, target = nn.Linear(6, 4), torch.tensor([0, 1])
    with torch.no_grad():
        g = feature_gradient_autograd(torch.randn(2, 6), target, head)
    assert not g.requires_grad
    assert g.abs().sum() > 0


def test_direction_survives_a_confident_classifier():
    """At p_y = 1 - 1e-12 the direction in float32 is still that of float64."""
    torch.manual_seed(0)
    weight, logits, target = torch.randn(10, 16), torch.randn(8, 10), torch.arange(8)
    logits[torch.arange(8), target] += 30
    single = F.normalize(feature_gradient(logits, target, weight), dim=1, eps=1e-30)
    double = F.normalize(feature_gradient(logits.double(), target, weight.double()), dim=1, eps=1e-30)
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-6)


def test_embedded_gradients_of_a_fitted_teacher_do_not_coincide():
    """A head with a bias makes them all the same once p_y is 0.998; ours has none and normalises first."""
    torch.manual_seed(0)
    classes, width, samples = 100, 64, 128
    weight, target = torch.randn(classes, width) / width**0.5, torch.randint(classes, (samples,))
    logits = torch.randn(samples, classes)
    others = logits.scatter(1, target[:, None], -torch.inf).logsumexp(1)
    logits[torch.arange(samples), target] = others + torch.log(torch.tensor(0.998 / 0.002))
    assert F.softmax(logits, 1)[torch.arange(samples), target].mean() == pytest.approx(0.998, abs=1e-4)
    g = feature_gradient(logits, target, weight)

    def cosines(rows: torch.Tensor) -> torch.Tensor:
        return (rows @ rows.T)[~torch.eye(samples, dtype=torch.bool)]

    released = nn.Linear(width, 128)
    swamped = cosines(F.normalize(released(g / samples), dim=1))
    ours = cosines(Embedding(width, 128, bias=False)(g))
    assert swamped.min() > 0.999
    assert ours.mean() < 0.5
    assert ours.std() > 0.05


class CosineHead(nn.Linear):
    """A subclass of nn.Linear that is not linear."""

    def forward(self, x):
        return 10 * F.linear(F.normalize(x, dim=1), F.normalize(self.weight, dim=1))


def test_a_subclass_of_linear_with_its_own_forward_goes_by_autograd():
    torch.manual_seed(0)
    head, feature, target = CosineHead(6, 4, bias=False).double(), torch.randn(5, 6).double(), torch.arange(5) % 4
    found = gradient_element(View(head(feature), feature, head), target)
    assert torch.allclose(found, feature_gradient_autograd(feature, target, head), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_closed_form_keeps_float32_under_autocast(dtype):
    torch.manual_seed(0)
    logits, weight, target = torch.randn(5, 4), torch.randn(4, 6), torch.arange(5) % 4
    with torch.autocast("cpu", dtype=dtype):
        found = feature_gradient(logits, target, weight)
    assert torch.equal(found, feature_gradient(logits, target, weight))
