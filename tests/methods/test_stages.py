"""Which feature maps belong together."""

import pytest
import torch
from torch import nn

from crcd.errors import CrcdError
from crcd.methods.stages import paired_stages, pooled_alike
from crcd.relation.view import View
from relational_views import rows
from stage_views import halved, network_view


def view_of(**shapes):
    maps = {name: rows(*shape, seed=seed).requires_grad_() for seed, (name, shape) in enumerate(shapes.items())}
    return View(rows(2, 4), rows(2, 5), nn.Linear(5, 4), maps)


def sizes(student_name, teacher_name):
    pairs = paired_stages(network_view(student_name), network_view(teacher_name))
    return [(student.shape[-1], teacher.shape[-1]) for student, teacher in pairs]


def test_equally_many_stages_are_paired_in_order_without_stem_and_head():
    assert sizes("resnet20", "resnet56") == [(32, 32), (16, 16), (8, 8)]
    assert sizes("vgg8", "resnet50") == [(16, 32), (8, 16), (4, 8), (4, 4)]
    assert sizes("mobilenetv2", "vgg13") == [(16, 16), (8, 8), (4, 4), (2, 4)]
    assert sizes("shufflenetv2", "wrn_40_2") == [(16, 32), (8, 16), (4, 8)]


def test_last_stages_are_paired_where_the_numbers_differ():
    assert sizes("resnet20", "resnet50") == [(32, 16), (16, 8), (8, 4)]
    assert sizes("resnet50", "resnet20") == [(16, 32), (8, 16), (4, 8)]


def test_the_maps_are_the_views_own_and_the_teachers_are_constants():
    student = view_of(stem=(2, 1, 8, 8), stage1=(2, 3, 4, 4), head=(2, 7, 4, 4))
    teacher = view_of(first=(2, 4, 8, 8), last=(2, 5, 4, 4))
    [(student_map, teacher_map)] = paired_stages(student, teacher)
    assert student_map is student.maps["stage1"]
    assert torch.equal(teacher_map, teacher.maps["last"])
    assert not teacher_map.requires_grad


def test_pooling_averages_the_larger_map():
    small, large = rows(2, 3, 2, 3, seed=1), rows(2, 4, 4, 6, seed=2)
    for one, other in ((small, large), (large, small)):
        pooled = dict(zip(map(id, (one, other)), pooled_alike(one, other), strict=True))
        assert pooled[id(small)] is small
        torch.testing.assert_close(pooled[id(large)], halved(large))


def test_height_and_width_are_pooled_each_to_the_smaller():
    student, teacher = pooled_alike(rows(2, 3, 7, 2), rows(2, 4, 3, 5))
    assert student.shape == (2, 3, 3, 2)
    assert teacher.shape == (2, 4, 3, 2)


@pytest.mark.parametrize("shapes", [{}, {"stem": (2, 3, 4, 4), "head": (2, 3, 4, 4)}])
def test_no_stage(shapes):
    with pytest.raises(CrcdError, match="the teacher's view has no feature map of a stage"):
        paired_stages(view_of(stage1=(2, 3, 4, 4)), view_of(**shapes))


def test_maps_of_tokens():
    with pytest.raises(CrcdError, match=r"the student's map 'blocks\.0' is \[2, 17, 6\], not \[batch, channels, "):
        paired_stages(view_of(**{"blocks.0": (2, 17, 6)}), view_of(stage1=(2, 3, 4, 4)))
