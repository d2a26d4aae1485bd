"""Flow of the solution procedure."""

import pytest
import torch
from torch import nn

from crcd.errors import CrcdError
from crcd.methods.fsp import FSP, FSPConfig, flow, fsp_loss
from crcd.relation.view import View
from relational_views import LABELS, assert_trains, rows, views
from stage_views import assert_learns, halved, network_view, pairs_of_networks


def flow_of(lower, upper):
    """G of one sample, place by place."""
    _, height, width = lower.shape
    total = [[0.0] * len(upper) for _ in lower]
    for y in range(height):
        for x in range(width):
            for c in range(len(lower)):
                for d in range(len(upper)):
                    total[c][d] += lower[c, y, x].item() * upper[d, y, x].item() / (height * width)
    return total


def oracle(student_maps, teacher_maps):
    """Maps of one size; mean of each pair's squared differences, summed over pairs of neighbours."""
    loss = 0.0
    for i in range(len(student_maps) - 1):
        errors = []
        for b in range(len(student_maps[0])):
            g_s, g_t = (flow_of(maps[i][b], maps[i + 1][b]) for maps in (student_maps, teacher_maps))
            errors += [(g_s[c][d] - g_t[c][d]) ** 2 for c in range(len(g_s)) for d in range(len(g_s[0]))]
        loss += sum(errors) / len(errors)
    return loss


def maps(height, width, seed):
    return [rows(2, channels, height, width, seed=seed + channels) for channels in (3, 2, 4)]


def test_equals_the_formula():
    student, teacher = maps(2, 3, seed=1), maps(3, 2, seed=2)
    assert fsp_loss(student, teacher).item() == pytest.approx(oracle(student, teacher), rel=1e-12)


def test_gradient():
    teacher = maps(2, 2, seed=2)
    student = [each.requires_grad_() for each in maps(2, 2, seed=1)]
    assert torch.autograd.gradcheck(lambda *each: fsp_loss(each, teacher), student)


def test_the_larger_map_is_pooled():
    large, small = rows(2, 3, 4, 6, seed=1), rows(2, 2, 2, 3, seed=2)
    torch.testing.assert_close(flow(large, small), flow(halved(large), small))
    torch.testing.assert_close(flow(small, large), flow(small, halved(large)))


def test_sees_no_order_of_places():
    teacher = maps(2, 3, seed=1)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    student = [each.flatten(2)[:, :, order].unflatten(2, (3, 2)) for each in teacher]
    assert fsp_loss(student, teacher).item() == pytest.approx(0, abs=1e-28)
    assert fsp_loss(maps(2, 3, seed=3), teacher) > 1e-3


def test_trains_maps_and_connectors():
    student, teacher, _ = views()
    method = FSP.build(FSPConfig(), student, teacher, LABELS)
    terms = assert_trains(method, reads="maps")
    connected = [connect(each.detach()) for connect, each in zip(method.connectors, student.maps.values(), strict=True)]
    pooled = [(halved(lower), upper) for lower, upper in (connected, list(teacher.maps.values()))]
    assert terms["fsp"].item() == pytest.approx(oracle(*pooled), rel=1e-4)
    assert terms["loss"] == terms["fsp"]


def test_is_connected_only_where_widths_differ():
    student, teacher = network_view("wrn_16_2"), network_view("wrn_40_2")
    method = FSP.build(FSPConfig(), student, teacher, LABELS)
    assert [type(connector) for connector in method.connectors] == [nn.Identity] * 4
    wider = FSP.build(FSPConfig(), student, network_view("resnet32x4"), LABELS)
    assert [type(connector) for connector in wider.connectors] == [nn.Conv2d] * 4


@pairs_of_networks
def test_learns_from_every_stage_of(teacher_name, student_name):
    assert all(assert_learns(FSP, FSPConfig(), student_name, teacher_name))


def test_needs_two_maps():
    assert FSP.uses_maps
    student, teacher, _ = views()
    one = View(student.logits, student.feature, student.classifier, {"stage1": student.maps["stage1"]})
    with pytest.raises(CrcdError, match="fsp needs two maps of each network"):
        FSP.build(FSPConfig(), one, teacher, LABELS)
