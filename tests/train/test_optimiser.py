from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from crcd.errors import CrcdError
from crcd.models import create_model
from crcd.train.optimiser import Optimiser, freeze
from crcd.train.options import OptimiserOptions

CPU = torch.device("cpu")


def network() -> nn.Module:
    torch.manual_seed(0)
    return create_model("resnet8", 10, 1)


def loss(model: nn.Module) -> torch.Tensor:
    image = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    return model(image).square().sum()


def test_adamw_is_that_of_torch():
    ours, theirs = network(), network()
    optimiser = Optimiser(ours, None, OptimiserOptions(optimizer="adamw", momentum=0.8, beta2=0.9, lr=0.1), CPU)
    reference = AdamW(theirs.parameters(), lr=0.01, betas=(0.8, 0.9), weight_decay=5e-4)
    optimiser.set_rate(0.01)
    for _ in range(3):
        optimiser.step(loss(ours))
        reference.zero_grad()
        loss(theirs).backward()
        reference.step()
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(own, other)


def test_every_layer_has_its_share_of_the_rate_and_heads_have_all_of_it():
    model, head = network(), nn.Linear(3, 3)
    optimiser = Optimiser(model, head, OptimiserOptions(layer_decay=0.5, lr=1.0), CPU)
    optimiser.set_rate(0.1)
    rates = {id(p): group["lr"].item() for group in optimiser.optimizer.param_groups for p in group["params"]}
    named = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    assert named["classifier.weight"] == pytest.approx(0.1)
    assert named["body.stage3.0.conv1.weight"] == pytest.approx(0.05)
    assert named["body.stage1.0.conv1.weight"] == pytest.approx(0.0125)
    assert named["body.stem.0.weight"] == pytest.approx(0.00625)
    assert rates[id(head.weight)] == pytest.approx(0.1)
    assert len(rates) == len(list(model.parameters())) + 2


def test_normalisations_may_be_spared_the_decay():
    model, head = network(), nn.Linear(3, 3)
    groups = Optimiser(model, head, OptimiserOptions(decay_norms=False), CPU).optimizer.param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for parameter in (*model.parameters(), *head.parameters()):
        assert decays[id(parameter)] == (5e-4 if parameter.ndim > 1 else 0)


def test_gradients_are_shortened_to_the_norm():
    model = network()
    optimiser = Optimiser(model, None, OptimiserOptions(clip_norm=0.5, momentum=0.0, weight_decay=0.0), CPU)
    optimiser.step(100 * loss(model))
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    assert norm.item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_state_goes_on_to_the_bit(kind):
    options = OptimiserOptions(optimizer=kind, layer_decay=0.9, clip_norm=1.0)
    one, other = network(), network()
    first, second = Optimiser(one, None, options, CPU), Optimiser(other, None, options, CPU)
    first.step(loss(one))
    other.load_state_dict(one.state_dict())
    second.load_state_dict(deepcopy(first.state_dict()))
    for optimiser, model in ((first, one), (second, other)):
        optimiser.set_rate(0.003)
        optimiser.step(loss(model))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_state_of_another_device_does_not_decide_what_can_be_captured():
    optimiser = Optimiser(network(), None, OptimiserOptions(optimizer="adamw"), CPU)
    state = optimiser.state_dict()
    for group in state["param_groups"]:
        group["capturable"] = True
    optimiser.load_state_dict(state)
    assert not any(group["capturable"] for group in optimiser.optimizer.param_groups)


def test_frozen_parts_are_named_and_something_is_left():
    model = network()
    (stem,) = freeze(model, ("body.stem",))
    assert not stem.training
    assert {name.split(".")[1] for name, p in model.named_parameters() if not p.requires_grad} == {"stem"}
    with pytest.raises(CrcdError, match=r"--freeze is stem: ImageClassifier has no such part; it has body, body\.stem"):
        freeze(network(), ("stem",))
    with pytest.raises(CrcdError, match="nothing of the student is left to train"):
        freeze(network(), ("body", "classifier"))
