"""Class attention transfer."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from crcd.data.batch import Batch
from crcd.errors import CrcdError
from crcd.methods.catkd import CATKD, CATKDConfig, cat_loss, class_activation
from crcd.relation.view import View
from relational_views import rows
from stage_views import network_view, pairs_of_networks

B, C = 3, 4
BATCH = Batch(torch.zeros(B, 1, 1, 1), torch.arange(B), torch.arange(B))


def view(dim, side, seed):
    """A view whose feature is the mean of its last map, leaves that ask for gradients."""
    torch.manual_seed(seed)
    classifier = nn.Linear(dim, C)
    last = rows(B, dim, side, side, seed=seed).float().requires_grad_()
    feature = last.mean(dim=(2, 3))
    stages = {"stage1": rows(B, 2, 8, 8).float(), "head": last}
    return View(classifier(feature), feature, classifier, stages)


def pooled_activation(view, side):
    """Class activation maps, [B, C, side^2], as lists of numbers; of last maps whose side is a multiple."""
    last, weight = view.maps["head"].detach(), view.classifier.weight.detach()
    step = last.shape[2] // side

    def mean_activation(sample, row, i, j):
        places = [(h, w) for h in range(i * step, (i + 1) * step) for w in range(j * step, (j + 1) * step)]
        return sum(float(row @ sample[:, h, w]) for h, w in places) / len(places)

    return [
        [[mean_activation(sample, row, i, j) for i in range(side) for j in range(side)] for row in weight]
        for sample in last
    ]


def oracle(student, teacher, side, normalise):
    errors = []
    for maps_s, maps_t in zip(pooled_activation(student, side), pooled_activation(teacher, side), strict=True):
        for a_s, a_t in zip(maps_s, maps_t, strict=True):
            lengths = [sum(x * x for x in a) ** 0.5 if normalise else 1 for a in (a_s, a_t)]
            errors += [(x / lengths[0] - y / lengths[1]) ** 2 for x, y in zip(a_s, a_t, strict=True)]
    return sum(errors) / len(errors)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("side", [1, 2, 4])
def test_equals_the_formula_and_trains_the_student_alone(side, normalise):
    student, teacher = view(3, 4, seed=1), view(5, 8, seed=2)
    method = CATKD.build(CATKDConfig(7.0, side, normalise), student, teacher, torch.arange(C))
    terms = method(student, teacher, BATCH)
    assert terms["loss"].item() == pytest.approx(7 * oracle(student, teacher, side, normalise), rel=1e-4, abs=1e-9)
    assert torch.equal(terms["catkd"], terms["loss"].detach())
    assert not terms["catkd"].requires_grad
    terms["loss"].backward()
    if (side, normalise) != (1, True):  # there maps are but signs
        assert (student.maps["head"].grad.flatten(1).abs().sum(dim=1) > 0).all()
        assert student.classifier.weight.grad.abs().sum() > 0
    assert teacher.maps["head"].grad is None
    assert teacher.classifier.weight.grad is None
    assert not list(method.parameters())


@pytest.mark.parametrize("normalise", [False, True])
def test_gradient(normalise):
    teacher = rows(2, 3, 2, 2, seed=3)

    def loss(last, weight):
        return cat_loss(class_activation(last, weight, 2), teacher, normalise=normalise)

    inputs = rows(2, 4, 4, 4, seed=1).requires_grad_(), rows(3, 4, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(loss, inputs)


def test_the_mean_of_a_class_activation_map_is_the_logit_without_bias():
    student = view(3, 4, seed=1)
    maps = class_activation(student.maps["head"], student.classifier.weight, 2)
    torch.testing.assert_close(maps.mean(dim=(2, 3)) + student.classifier.bias, student.logits)


def test_normalised_maps_have_no_scale():
    maps, other = rows(2, 3, 2, 2, seed=1), rows(2, 3, 2, 2, seed=2)
    scale = torch.tensor([0.5, 2.0, 3.0])[:, None, None]
    assert cat_loss(scale * maps, maps, normalise=True).item() == pytest.approx(0, abs=1e-30)
    assert cat_loss(scale * maps, maps, normalise=False) > 1e-3
    assert cat_loss(maps, other, normalise=True) > 1e-3


@pytest.mark.parametrize("normalise", [False, True])
def test_a_dead_map_is_finite(normalise):
    student = torch.zeros(2, 3, 2, 2, requires_grad=True)
    cat_loss(student, rows(2, 3, 2, 2).float(), normalise=normalise).backward()
    assert student.grad.isfinite().all()


@pairs_of_networks
def test_learns_from_the_last_map_of(teacher_name, student_name):
    student, teacher = network_view(student_name), network_view(teacher_name)
    method = CATKD.build(CATKDConfig(), student, teacher, torch.arange(C))
    *_, last = student.maps.values()
    loss = method(student, teacher, BATCH)["loss"]
    (gradient,) = torch.autograd.grad(loss, last)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def build_with(**changes):
    student, teacher = view(3, 4, seed=1), view(5, 8, seed=2)
    return CATKD.build(CATKDConfig(), replace(student, **changes), teacher, torch.arange(C))


def test_needs_maps():
    assert CATKD.uses_maps
    with pytest.raises(CrcdError, match="the student's view has none: read its last stage"):
        build_with(maps={})


def test_needs_one_linear_classifier():
    with pytest.raises(CrcdError, match="one linear layer, but the student's is a Sequential"):
        build_with(classifier=nn.Sequential(nn.Linear(3, C)))


@pytest.mark.parametrize("shape", [(B, 3, 4, 4), (B, 2, 4, 4), (B, 7, 3)])
def test_needs_a_feature_that_is_the_last_maps_mean(shape):
    with pytest.raises(CrcdError, match=r"the student's feature, \[3, 3\], is not that of its map 'last'"):
        build_with(maps={"last": rows(*shape, seed=9).float()})


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [("weight", -1.0, "a weight of 0 or more"), ("weight", float("nan"), "a weight of 0 or more"), ("side", 0, "1 or")],
)
def test_bad_settings(name, value, advice):
    with pytest.raises(CrcdError, match=rf"catkd\.{name} is {value}: give {advice}"):
        CATKDConfig(**{name: value})
