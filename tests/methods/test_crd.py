"""Contrastive representation distillation."""

import math
from dataclasses import replace

import pytest
import torch

from crcd.errors import CrcdError
from crcd.methods.crd import CRD, CRDConfig
from crcd.relation.source import Elements
from relational_views import LABELS, B, N, assert_trains, views

CONFIG = CRDConfig(negatives=20, dim=4, temperature=0.5)


def keys(negatives, i):
    """The rows that sample i may use."""
    own = negatives.rows if negatives.index_BK is None else negatives.rows[negatives.index_BK[i]]
    return own if negatives.excluded_BK is None else own[~negatives.excluded_BK[i]]


def oracle(query, positive, negatives, temperature, z):
    losses = []
    for i in range(len(query)):
        own = keys(negatives, i)
        q = len(own) / N
        p_0 = math.exp(float(query[i] @ positive[i]) / temperature) / z
        loss = -math.log(p_0 / (p_0 + q))
        for row in own:
            p = math.exp(float(query[i] @ row) / temperature) / z
            loss -= math.log(q / (p + q))
        losses.append(loss)
    return losses


def make(shared=True, seed=0, **settings):
    torch.manual_seed(seed)
    student, teacher, batch = views()
    return CRD.build(replace(CONFIG, shared=shared, **settings), student, teacher, LABELS), student, teacher, batch


@pytest.mark.parametrize("shared", [True, False])
def test_total_is_both_directions_against_the_rows_before_the_batch(shared):
    method, student, teacher, batch = make(shared)
    banks = method.bank.student_ND.double(), method.bank.teacher_ND.double()
    heads = (method.student_head, student), (method.teacher_head, teacher)
    embedded = [head(view.feature).detach().double() for head, view in heads]
    every = torch.ones(B, dtype=torch.bool)
    torch.manual_seed(5)
    drawn = method.bank.draw(Elements(embedded[0], embedded[1], batch.target, batch.index, every))
    doubled = [replace(negatives, rows=negatives.rows.double()) for negatives in drawn]
    torch.manual_seed(5)
    terms = method(student, teacher, batch)
    expected = 0.0
    for query, bank, negatives in zip(embedded, banks[::-1], doubled[::-1], strict=True):
        positive = bank[batch.index]
        of_samples = [torch.stack([positive[i], *keys(negatives, i)]) @ query[i] for i in range(B)]
        z = N * sum(float((scores / 0.5).exp().mean()) for scores in of_samples) / B
        expected += sum(oracle(query, positive, negatives, 0.5, z)) / B
    assert terms["crd"].item() == pytest.approx(0.8 * expected, rel=1e-5)
    assert terms["loss"].item() == pytest.approx(0.8 * expected, rel=1e-5)
    assert not torch.equal(method.bank.teacher_ND[batch.index].double(), banks[1][batch.index])


@pytest.mark.parametrize("shared", [True, False])
def test_trains_student_and_both_heads(shared):
    method, *_ = make(shared)
    terms = assert_trains(method)
    assert terms["loss"] == terms["crd"]
    assert terms["crd_mi_bound"] < math.log(20)


def test_own_negatives_keep_the_gradient_of_the_rows_that_were_drawn():
    """The bank moves before the backward pass, the copies do not."""
    gradients = []
    for mode in (True, False):
        method, student, teacher, batch = make(shared=False)
        method.train(mode)
        torch.manual_seed(7)
        method(student, teacher, batch)["loss"].backward()
        gradients.append(student.feature.grad)
    torch.testing.assert_close(*gradients)


def test_z_is_the_first_batch_s_and_travels_in_the_state():
    method, student, teacher, batch = make()
    method.eval()
    method(student, teacher, batch)
    assert method.student_term.log_z is None
    method.train()
    method(student, teacher, batch)
    first = method.student_term.log_z.clone(), method.teacher_term.log_z.clone()
    assert first[0].item() == pytest.approx(math.log(N), abs=2)
    assert first[0] != first[1]
    method(*views(seed=1))
    assert (method.student_term.log_z, method.teacher_term.log_z) == first
    other, *_ = make(seed=1)
    other.load_state_dict(method.state_dict())
    results = []
    for each in (method, other):
        torch.manual_seed(3)
        results.append(each(*views(seed=2)))
    assert results[0] == results[1]


def test_z_goes_where_the_module_goes():
    method, student, teacher, batch = make()
    method(student, teacher, batch)
    first = method.student_term.log_z
    assert first.dtype == torch.float32
    assert method.double().student_term.log_z.item() == first.item()
    assert method.student_term.log_z.dtype == torch.float64


def test_rests_in_evaluation():
    method, student, teacher, batch = make()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.eval()
    method(student, teacher, batch)
    for name, value in method.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("weight", -1.0, "0 or more"),
        ("temperature", 0.01, "0.02 or more"),
        ("dim", 1, "2 or more"),
        ("negatives", 0, "1 or more"),
        ("bank_momentum", 1.0, "from 0 to below 1"),
    ],
)
def test_bad_settings(name, value, advice):
    with pytest.raises(CrcdError, match=rf"crd\.{name} is {value}: give {advice}"):
        CRDConfig(**{name: value})


def test_more_negatives_than_there_are():
    student, teacher, _ = views()
    assert CRD.build(CRDConfig(negatives=33), student, teacher, LABELS).bank.count == 32
