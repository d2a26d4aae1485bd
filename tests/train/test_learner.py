from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from crcd.data.batch import Batch
from crcd.methods.kd import KD, KDConfig, distillation_loss
from crcd.models import Viewer, create_model
from crcd.relation import Mixture
from crcd.train.learner import Learner
from crcd.train.options import ComputeOptions, OptimiserOptions
from crcd.train.randomness import RandomStream
from crcd.train.teacher import Teacher

CPU = torch.device("cpu")


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(8, 1, 16, 16, generator=generator)
    return Batch(image, torch.randint(10, (8,), generator=generator), torch.arange(8))


def make_learner(method):
    torch.manual_seed(0)
    viewer = Viewer(create_model("resnet8", 10, 1))
    options = OptimiserOptions(momentum=0.0, weight_decay=0.0)
    return Learner("student", viewer, method, options, RandomStream(0, CPU), CPU, ComputeOptions())


@pytest.fixture
def view(batch):
    torch.manual_seed(1)
    return Teacher(create_model("resnet8", 10, 1), CPU, ComputeOptions())(batch)


def test_step_descends_ce_plus_weighted_method_loss(batch, view):
    learner = make_learner(KD(KDConfig(weight=0.7, temperature=2.0, ce_weight=1.0)))
    model = deepcopy(learner.viewer.model).train()
    logits = model(batch.image)
    ce, kd = cross_entropy(logits, batch.target), distillation_loss(logits, view.logits, 2.0)
    (ce + 0.5 * 0.7 * kd).backward()
    expected = [parameter - 0.1 * parameter.grad for parameter in model.parameters()]
    learner.schedule(0.1, 0.5)
    learner.step(batch, lambda: view)
    torch.testing.assert_close(list(learner.viewer.model.parameters()), expected, atol=1e-6, rtol=1e-5)
    means = learner.totals.means()
    assert means["ce"] == pytest.approx(ce.item(), rel=1e-5)
    assert means["loss"] == pytest.approx((ce + 0.35 * kd).item(), rel=1e-5)


def test_what_is_kept_is_the_moving_average_and_frozen_parts_stay(batch):
    torch.manual_seed(0)
    viewer = Viewer(create_model("resnet8", 10, 1))
    options = OptimiserOptions(ema=0.75, freeze=("body.stem",), label_smoothing=0.2)
    learner = Learner("ce", viewer, None, options, RandomStream(0, CPU), CPU, ComputeOptions())
    before = deepcopy(viewer.model.state_dict())
    reference = deepcopy(viewer.model).train()
    reference.body.stem.eval()
    smoothed = cross_entropy(reference(batch.image), batch.target, label_smoothing=0.2)
    learner.step(batch, None)
    assert learner.totals.means()["ce"] == pytest.approx(smoothed.item(), rel=1e-5)
    for name, kept in learner.result.model.state_dict().items():
        now = viewer.model.state_dict()[name]
        assert torch.equal(now, before[name]) == name.startswith("body.stem"), name
        if kept.is_floating_point():
            torch.testing.assert_close(kept, 0.75 * before[name] + 0.25 * now)


def test_cross_entropy_of_mixed_images_is_mixed(batch):
    mixture = Mixture(torch.linspace(0.3, 1, 8), torch.arange(8).roll(1))
    learner = make_learner(None)
    logits = deepcopy(learner.viewer.model).train()(batch.image)
    own, other = (cross_entropy(logits, y, reduction="none") for y in (batch.target, batch.target[mixture.partner_B]))
    learner.step(replace(batch, mixture=mixture), None)
    expected = (mixture.share_B * own + (1 - mixture.share_B) * other).mean()
    assert learner.totals.means()["ce"] == pytest.approx(expected.item(), rel=1e-5)


def test_classes_may_weigh(batch):
    weight, plain = torch.linspace(0.1, 3, 10), make_learner(None)
    logits = deepcopy(plain.viewer.model).train()(batch.image)
    expected = (weight[batch.target] * cross_entropy(logits, batch.target, reduction="none")).mean()
    options = (OptimiserOptions(), RandomStream(0, CPU), CPU, ComputeOptions())
    learner = Learner("ce", plain.viewer, None, *options, class_weight_C=weight)
    learner.step(batch, None)
    assert learner.totals.means()["ce"] == pytest.approx(expected.item(), rel=1e-5)


def test_without_a_teacher_the_method_rests(batch):
    resting, plain = make_learner(KD(KDConfig())), make_learner(None)
    resting.step(batch, None)
    plain.step(batch, None)
    assert resting.totals.means() == plain.totals.means()
    assert "kd" not in resting.totals.means()
    for one, other in zip(resting.viewer.parameters(), plain.viewer.parameters(), strict=True):
        assert torch.equal(one, other)


def test_state_goes_on_to_the_bit(batch, view):
    learner, other = make_learner(KD(KDConfig())), make_learner(KD(KDConfig()))
    learner.step(batch, lambda: view)
    other.load_state_dict(deepcopy(learner.state_dict()))
    for each in (learner, other):
        each.schedule(0.1, 1.0)
        each.step(batch, lambda: view)
    assert other.totals.means() == learner.totals.means()
    for one, two in zip(learner.viewer.parameters(), other.viewer.parameters(), strict=True):
        assert torch.equal(one, two)
