"""Knowledge review."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from crcd.errors import CrcdError
from crcd.methods.reviewkd import Fusion, ReviewKD, ReviewKDConfig, hcl_loss
from crcd.relation.view import View
from relational_views import LABELS, B, N, assert_trains, rows, views
from stage_views import assert_learns, pairs_of_networks

CONFIG = ReviewKDConfig(weight=7.0, warm_up_epochs=0)


def bin_mean(plane, side, i, j):
    """Mean of one of side x side parts of a plane, which overlap where the side does not divide the plane's."""
    height, width = plane.shape
    block = plane[
        i * height // side : -(-(i + 1) * height // side), j * width // side : -(-(j + 1) * width // side)
    ].flatten()
    return sum(block.tolist()) / len(block)


def hcl_oracle(student, teacher):
    student, teacher = student.detach(), teacher.detach()
    height, width = student.shape[2:]
    errors = [(s - t) ** 2 for s, t in zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True)]
    total, norm, weight = sum(errors) / len(errors), 1.0, 1.0
    for side in (4, 2, 1):
        if side < min(height, width):
            errors = [
                (bin_mean(s, side, i, j) - bin_mean(t, side, i, j)) ** 2
                for s, t in zip(student.flatten(0, 1), teacher.flatten(0, 1), strict=True)
                for i in range(side)
                for j in range(side)
            ]
            weight /= 2
            total, norm = total + weight * sum(errors) / len(errors), norm + weight
    return total / norm


@pytest.mark.parametrize("size", [(8, 8), (6, 5), (4, 4), (3, 2), (1, 1)])
def test_equals_the_formula(size):
    student, teacher = rows(2, 3, *size, seed=1), rows(2, 3, *size, seed=2)
    assert hcl_loss(student, teacher).item() == pytest.approx(hcl_oracle(student, teacher), rel=1e-12)


def test_gradient():
    teacher = rows(2, 2, 5, 5, seed=2)
    assert torch.autograd.gradcheck(lambda x: hcl_loss(x, teacher), rows(2, 2, 5, 5, seed=1).requires_grad_())


def test_an_error_that_is_everywhere_alike_costs_its_square_and_none_costs_nothing():
    teacher = rows(2, 3, 8, 8)
    assert hcl_loss(teacher - 0.5, teacher).item() == pytest.approx(0.25)
    assert hcl_loss(teacher, teacher) == 0


def test_an_error_that_cancels_within_a_neighbourhood_costs_less():
    flat, checkered = torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    checkered[..., ::2] = -1
    zeros = torch.zeros(1, 1, 8, 8)
    assert hcl_loss(checkered, zeros).item() == pytest.approx(hcl_loss(flat, zeros).item() / 1.875)


def make_fusion(*, deepest):
    torch.manual_seed(1)
    fusion = Fusion(2, 3, 4, deepest=deepest).double().eval()
    for norm in (fusion.embed[1], fusion.connect[1]):
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            nn.init.uniform_(values, 0.5, 2.0)
    return fusion


def convolved(sample, layer):
    """Every output of a convolution of one sample, zeros around it, by a loop over places."""
    reach = layer.kernel_size[0] // 2
    padded = nn.functional.pad(sample, [reach] * 4)
    out = torch.zeros(layer.out_channels, *sample.shape[1:], dtype=sample.dtype)
    for i in range(sample.shape[1]):
        for j in range(sample.shape[2]):
            window = padded[:, i : i + 2 * reach + 1, j : j + 2 * reach + 1]
            for channel, kernel in enumerate(layer.weight):
                out[channel, i, j] = (kernel * window).sum()
    return out if layer.bias is None else out + layer.bias[:, None, None]


def normalised(sample, norm):
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (sample - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]


def nearest(sample, height, width):
    places = [
        [sample[:, i * sample.shape[1] // height, j * sample.shape[2] // width] for j in range(width)]
        for i in range(height)
    ]
    return torch.stack([torch.stack(line, dim=1) for line in places], dim=1)


@pytest.mark.parametrize("deepest", [True, False])
@pytest.mark.parametrize("size", [(4, 4), (8, 8), (2, 2), (3, 5)])
def test_fusion_equals_the_formula(deepest, size):
    fusion, maps, deeper = make_fusion(deepest=deepest), rows(2, 2, 4, 4, seed=2), rows(2, 3, 2, 2, seed=3)
    compared, fused = fusion(maps, None if deepest else deeper, torch.Size(size))
    for b in range(2):
        x = normalised(convolved(maps[b], fusion.embed[0]), fusion.embed[1])
        if not deepest:
            y = nearest(deeper[b], 4, 4)
            of_x, of_y = convolved(torch.cat([x, y]), fusion.attend[0])
            x = x / (1 + torch.exp(-of_x)) + y / (1 + torch.exp(-of_y))
        x = nearest(x, *size)
        torch.testing.assert_close(fused[b], x)
        torch.testing.assert_close(compared[b], normalised(convolved(x, fusion.connect[0]), fusion.connect[1]))


def make(config=CONFIG, **sizes):
    torch.manual_seed(0)
    student, teacher, batch = views(**sizes)
    return ReviewKD.build(config, student, teacher, LABELS), student, teacher, batch


def test_sums_the_levels_from_the_features_to_the_image():
    method, student, teacher, _ = make()
    first, second, last = method.fusions
    compared_last, fused = last(student.feature[:, :, None, None], None, torch.Size((1, 1)))
    compared_second, fused = second(student.maps["stage2"], fused, torch.Size((4, 4)))
    compared_first, _ = first(student.maps["stage1"], fused, torch.Size((8, 8)))
    total = (
        hcl_oracle(compared_first, teacher.maps["stage1"])
        + hcl_oracle(compared_second, teacher.maps["stage2"])
        + hcl_oracle(compared_last, teacher.feature[:, :, None, None])
    )
    terms = assert_trains(method, reads="maps")
    assert terms["reviewkd"].item() == pytest.approx(7 * total, rel=1e-4)
    assert terms["loss"] == terms["reviewkd"]


def test_trains_the_feature_and_every_stage():
    method, student, teacher, batch = make()
    assert_trains(method)
    method(student, teacher, batch)["loss"].backward()
    assert all(stage_map.grad.abs().sum() > 0 for stage_map in student.maps.values())


@pytest.mark.parametrize(("student_dim", "width"), [(6, 6), (600, 512)])
def test_fused_maps_are_as_wide_as_the_students_feature_up_to_a_limit(student_dim, width):
    method, *_ = make(student_dim=student_dim)
    assert {fusion.embed[0].out_channels for fusion in method.fusions} == {width}


def test_the_weight_grows_from_0_with_the_epochs():
    method, student, teacher, batch = make(ReviewKDConfig(weight=1.0, warm_up_epochs=4))
    full, *_ = make(ReviewKDConfig(weight=1.0, warm_up_epochs=0))
    loss = full(student, teacher, batch)["loss"].item()
    shares = [method(student, teacher, batch)["loss"].item() / loss for _ in range(6 * (N // B))]
    assert shares == pytest.approx([min(1, epoch / 4) for epoch in range(6) for _ in range(N // B)], rel=1e-5)


@pairs_of_networks
def test_learns_from_every_stage_of(teacher_name, student_name):
    assert all(assert_learns(ReviewKD, CONFIG, student_name, teacher_name))


def test_reads_maps_and_checks_them_when_built():
    assert ReviewKD.uses_maps
    student, teacher, _ = views()
    bare = View(teacher.logits, teacher.feature, teacher.classifier)
    with pytest.raises(CrcdError, match="the teacher's view has no feature map of a stage"):
        ReviewKD.build(CONFIG, student, bare, LABELS)


@pytest.mark.parametrize(("name", "value"), [("weight", -1.0), ("weight", float("nan")), ("warm_up_epochs", -1)])
def test_bad_settings(name, value):
    with pytest.raises(CrcdError, match=rf"reviewkd\.{name} is {value}: give 0 or more"):
        replace(CONFIG, **{name: value})
