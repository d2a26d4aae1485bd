"""Factor transfer."""

import pytest
import torch

from crcd.data.batch import Batch
from crcd.errors import CrcdError
from crcd.methods.ft import FT, FTConfig, ft_loss
from relational_views import LABELS, rows, views
from stage_views import B, halved, network_view

BATCH = Batch(torch.zeros(B, 1, 1, 1), torch.arange(B), torch.arange(B))


def attention_of(factor):
    squares = [sum(value**2 for value in place) / len(place) for place in factor.flatten(1).T.tolist()]
    length = sum(value**2 for value in squares) ** 0.5
    return [value / length for value in squares]


def oracle(student, teacher):
    errors = [
        abs(q_s - q_t)
        for sample, other in zip(student.detach(), teacher.detach(), strict=True)
        for q_s, q_t in zip(attention_of(sample), attention_of(other), strict=True)
    ]
    return sum(errors) / len(errors)


def grads(module):
    return [parameter.grad is not None and bool(parameter.grad.abs().sum() > 0) for parameter in module.parameters()]


def built(config=None):
    student, teacher, batch = views()
    torch.manual_seed(0)
    return FT.build(config or FTConfig(), student, teacher, LABELS), student, teacher, batch


def test_equals_the_formula():
    student, teacher = rows(3, 4, 3, 5, seed=1), rows(3, 2, 3, 5, seed=2)
    assert ft_loss(student, teacher).item() == pytest.approx(oracle(student, teacher), rel=1e-12)


def test_gradient():
    teacher = rows(2, 3, 2, 3, seed=2)
    assert torch.autograd.gradcheck(lambda x: ft_loss(x, teacher), rows(2, 4, 2, 3, seed=1).requires_grad_())


def test_sees_neither_scale_nor_order_of_channels():
    teacher = rows(3, 4, 3, 3, seed=1)
    assert ft_loss(-2 * teacher[:, [2, 0, 3, 1]], teacher).item() == pytest.approx(0, abs=1e-15)
    assert ft_loss(teacher.flip(3), teacher) > 1e-3


def test_first_stage_gives_the_teachers_map_back():
    method, _, teacher, batch = built()
    teacher_map = teacher.maps["stage2"].detach()
    terms = method.first_stage(pytest.fail, teacher, batch)
    made = method.decoder(method.encoder(teacher_map)).flatten().tolist()
    errors = [(x - y) ** 2 for x, y in zip(made, teacher_map.flatten().tolist(), strict=True)]
    assert terms["loss"].item() == pytest.approx(sum(errors) / len(errors), rel=1e-5)
    assert terms["loss"] == terms["reconstruction"]
    terms["loss"].backward()
    assert all(grads(method.encoder) + grads(method.decoder))
    assert not any(grads(method.translator))
    assert teacher.maps["stage2"].grad is None


def test_the_factor_has_a_share_of_the_teachers_channels():
    method, _, teacher, _ = built()
    assert method.encoder(teacher.maps["stage2"]).shape == (8, 2, 4, 4)
    method, _, teacher, _ = built(FTConfig(rate=0.01))
    assert method.encoder(teacher.maps["stage2"]).shape == (8, 1, 4, 4)


def test_trains_the_student_and_its_translator():
    method, student, teacher, batch = built(FTConfig(weight=7.0))
    terms = method(student, teacher, batch)
    factor = method.translator(student.maps["stage2"])
    assert terms["ft"].item() == pytest.approx(
        7 * oracle(factor, halved(method.encoder(teacher.maps["stage2"]))), rel=1e-4
    )
    assert terms["loss"] == terms["ft"]
    assert not terms["ft"].requires_grad
    terms["loss"].backward()
    assert all(grads(method.translator)[0::2])
    assert not any(grads(method.encoder) + grads(method.decoder))
    assert (student.maps["stage2"].grad.flatten(1).abs().sum(dim=1) > 0).all()
    assert teacher.maps["stage2"].grad is None


@pytest.mark.parametrize(
    ("teacher_name", "student_name"),
    [
        ("vgg13", "mobilenetv2"),
        ("wrn_40_2", "wrn_16_2"),
        ("resnet32x4", "shufflenetv1"),
        ("resnet32x4", "shufflenetv2"),
        ("timm/resnet10t", "timm/regnetx_002"),
        pytest.param("resnet50", "vgg8", marks=pytest.mark.slow),  # 2048 channels, so an encoder of 66 million weights
    ],
)
def test_learns_from_the_last_stage_of(teacher_name, student_name):
    student, teacher = network_view(student_name), network_view(teacher_name)
    method = FT.build(FTConfig(), student, teacher, LABELS)
    first = method.first_stage(pytest.fail, teacher, BATCH)["loss"]
    second = method(student, teacher, BATCH)["loss"]
    (first + second).backward()
    assert first.isfinite()
    assert second.isfinite()
    *_, last = (stage_map for name, stage_map in student.maps.items() if name != "head")
    assert last.grad.isfinite().all()
    assert last.grad.abs().sum() > 0


def test_a_dead_map_is_finite():
    student = torch.zeros(2, 3, 4, 4, requires_grad=True)
    ft_loss(student, rows(2, 3, 4, 4).float()).backward()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"weight": -1.0}, r"ft\.weight is -1\.0: give a weight of 0 or more"),
        ({"weight": float("nan")}, r"ft\.weight is nan"),
        ({"rate": 0.0}, r"ft\.rate is 0\.0: give a rate above 0"),
        ({"first_stage_epochs": 0}, r"ft\.first_stage_epochs is 0: give 1 or more"),
    ],
)
def test_bad_settings(values, told):
    with pytest.raises(CrcdError, match=told):
        FTConfig(**values)
