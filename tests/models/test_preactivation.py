"""Maps of the zoo's stages as they are before their activation."""

from functools import cache

import pytest
import torch
from torch import nn

from crcd.errors import CrcdError
from crcd.models import Viewer, create_model, fold_batchnorm, stage_names
from crcd.models.recording import recorded

NETWORKS = ("resnet20", "resnet50", "vgg8", "wrn_16_2", "mobilenetv2", "shufflenetv1", "shufflenetv2")
IMAGE = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@cache
def network(name):
    """Statistics that are not those of a new network, so that a normalisation is told from none."""
    torch.manual_seed(0)
    model = create_model(name, 7).train()
    with torch.no_grad():
        for norm in (layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)):
            norm.bias.uniform_(-0.5, 0.5)
        model(IMAGE)
    return model.eval()


def stages(model):
    return [name for name in stage_names(model) if name.startswith("stage")]


def view(model):
    return Viewer(model, stage_names(model), preactivations=True)(IMAGE)


@pytest.mark.parametrize("name", NETWORKS)
def test_are_those_of_the_stages_and_change_nothing_else(name):
    model = network(name)
    plain, read = Viewer(model, stage_names(model))(IMAGE), view(model)
    assert list(read.preactivations) == stages(model)
    assert not plain.preactivations
    torch.testing.assert_close(read.logits, plain.logits, rtol=0, atol=0)
    torch.testing.assert_close(dict(read.maps), dict(plain.maps), rtol=0, atol=0)
    weight = next(model.parameters())
    gradients = [torch.autograd.grad(each.logits.square().sum(), weight)[0] for each in (plain, read)]
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("name", ["resnet20", "resnet50", "vgg8", "shufflenetv1", "shufflenetv2"])
def test_become_the_map_by_a_relu(name):
    read = view(network(name))
    for stage, before in read.preactivations.items():
        assert torch.equal(before.relu(), read.maps[stage])
        assert (before < 0).any()


def test_of_a_wrn_are_what_the_first_relu_after_the_stage_takes():
    model = network("wrn_16_2")
    readers = {"stage1": model.body.stage2[0].conv1, "stage2": model.body.stage3[0].conv1}
    with recorded(readers) as calls:
        read = view(model)
    inputs = {name: given for name, (given, _) in calls.items()} | {"stage3": read.maps["head"]}
    for stage, before in read.preactivations.items():
        assert torch.equal(before.relu(), inputs[stage])
        assert not torch.allclose(before, read.maps[stage])


def test_of_a_linear_stage_are_the_map():
    read = view(network("mobilenetv2"))
    assert all(torch.equal(before, read.maps[stage]) for stage, before in read.preactivations.items())


@pytest.mark.parametrize("name", NETWORKS)
def test_of_a_folded_network(name):
    model = network(name)
    wanted, read = view(model), view(fold_batchnorm(model))
    for stage, before in read.preactivations.items():
        torch.testing.assert_close(before, wanted.preactivations[stage], rtol=1e-3, atol=1e-3)


def test_are_known_of_the_zoo_alone():
    model = create_model("timm/resnet10t", 7)
    with pytest.raises(CrcdError, match="ResNet: its maps before their activation are not known"):
        Viewer(model, stage_names(model), preactivations=True)
