"""Softmax regression representation learning."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from crcd.errors import CrcdError
from crcd.methods.srrl import SRRL, SRRLConfig
from logit_views import TARGET, check_gradients, make_batch, student_view, teacher_view


def make_method(weight=1.0):
    torch.manual_seed(3)
    method = SRRL.build(SRRLConfig(weight), student_view(), teacher_view(), TARGET)
    norm = method.connector[1]
    nn.init.uniform_(norm.weight, 0.5, 2.0)
    nn.init.uniform_(norm.bias, -0.5, 0.5)
    return method


def connected(rows, connector):
    """The connector's output, column by column, with the deviation of the batch."""
    linear, norm, _ = connector
    columns = []
    for weights, scale, shift in zip(linear.weight.tolist(), norm.weight.tolist(), norm.bias.tolist(), strict=True):
        column = [sum(x * w for x, w in zip(row, weights, strict=True)) for row in rows]
        mean = sum(column) / len(column)
        deviation = math.sqrt(sum((x - mean) ** 2 for x in column) / len(column) + norm.eps)
        columns.append([max(scale * (x - mean) / deviation + shift, 0.0) for x in column])
    return [list(row) for row in zip(*columns, strict=True)]


def squared_error(rows, others):
    errors = [(a - b) ** 2 for row, other in zip(rows, others, strict=True) for a, b in zip(row, other, strict=True)]
    return sum(errors) / len(errors)


def test_equals_the_formula_and_trains_the_student():
    method, student, teacher = make_method(0.5), student_view(), teacher_view()
    h = connected(student.feature.tolist(), method.connector)
    weight, bias = teacher.classifier.weight.tolist(), teacher.classifier.bias.tolist()
    logits = [
        [sum(x * w for x, w in zip(row, ws, strict=True)) + b for ws, b in zip(weight, bias, strict=True)] for row in h
    ]
    feature = 0.5 * squared_error(h, teacher.feature.tolist())
    regression = 0.5 * squared_error(logits, teacher.logits.tolist())
    terms = check_gradients(method, "srrl")
    assert terms["srrl_feature"].item() == pytest.approx(feature, rel=1e-4)
    assert terms["srrl_regression"].item() == pytest.approx(regression, rel=1e-4)
    assert terms["loss"].item() == pytest.approx(feature + regression, rel=1e-4)


def test_gradient():
    method, teacher = make_method().double(), teacher_view()
    teacher = replace(
        teacher,
        logits=teacher.logits.detach().double(),
        feature=teacher.feature.detach().double(),
        classifier=teacher.classifier.double(),
    )

    def loss(feature):
        return method(replace(student_view(), feature=feature), teacher, make_batch())["loss"]

    assert torch.autograd.gradcheck(loss, student_view().feature.detach().double().requires_grad_())


def test_is_zero_where_the_connector_gives_the_teachers_feature():
    method, student, teacher = make_method(), student_view(), teacher_view()
    h = method.connector(student.feature).detach()
    terms = method(student, replace(teacher, feature=h, logits=teacher.classifier(h)), make_batch())
    assert terms["loss"].item() == pytest.approx(0, abs=1e-12)


def test_the_teachers_classifier_is_no_part_of_it():
    method, teacher = make_method(), teacher_view()
    before = {name: tensor.clone() for name, tensor in teacher.classifier.state_dict().items()}
    state = set(method.state_dict())
    method(student_view(), teacher, make_batch())["loss"].backward()
    assert set(method.state_dict()) == state
    assert len(list(method.parameters())) == 3
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.classifier.state_dict().items())


def test_any_module_classifies():
    teacher = teacher_view()
    head = nn.Sequential(nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 4))
    teacher = replace(teacher, classifier=head, logits=head(teacher.feature))
    make_method()(student_view(), teacher, make_batch())["loss"].backward()
    assert all(parameter.grad is None for parameter in head.parameters())


@pytest.mark.parametrize("weight", [-1.0, math.nan])
def test_bad_weight(weight):
    with pytest.raises(CrcdError, match=rf"srrl\.weight is {weight}: give a weight of 0 or more"):
        SRRLConfig(weight)
