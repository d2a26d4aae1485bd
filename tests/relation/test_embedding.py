"""Heads that embed elements, and the contrast with a teacher's that is only standardised."""

import copy

import pytest
import torch
from torch.nn import functional as F

from crcd.errors import CrcdError
from crcd.relation import CRCDLoss, RelationConfig
from crcd.relation.embedding import Standardised
from criterion import LABELS, filled, forward, views

STANDARDISED = RelationConfig(negatives=20, teacher_head="standardised")


def test_all_that_was_learned_is_standardised_together():
    torch.manual_seed(0)
    element_ND = 5 + 3 * torch.randn(60, 4, dtype=torch.float64)
    usable_N = torch.rand(60) < 0.7
    usable_N[10:20] = False  # a batch of nothing
    head = Standardised(4, normalise_first=False).double()
    for element_BD, usable_B in zip(element_ND.split(10), usable_N.split(10), strict=True):
        head.learn(element_BD, usable_B)
    used = element_ND[usable_N]
    expected = F.normalize((element_ND - used.mean(dim=0)) / used.std(dim=0, correction=0), dim=1)
    torch.testing.assert_close(head(element_ND), expected, rtol=1e-12, atol=1e-12)


def test_a_number_that_does_not_vary_tells_nothing():
    head = Standardised(3, normalise_first=False)
    element_BD = torch.randn(8, 3)
    element_BD[:, 1] = 0.1
    head.learn(element_BD, torch.ones(8, dtype=torch.bool))
    assert head(element_BD)[:, 1].abs().max() < 0.1
    assert torch.isfinite(head(element_BD)).all()


def test_the_length_of_a_gradient_is_nothing():
    head = Standardised(5, normalise_first=True)
    element_BD, length_B1 = torch.randn(8, 5), 10 ** -torch.arange(8.0)[:, None]
    head.learn(element_BD, torch.ones(8, dtype=torch.bool))
    torch.testing.assert_close(head(element_BD * length_B1), head(element_BD))


@pytest.mark.parametrize(
    ("share", "relation"),
    [(0.0, "difference"), (0.5, "difference"), (1.0, "difference"), (0.0, "mlp"), (0.5, "mlp")],
)
def test_no_head_of_the_teacher_is_trained(share, relation):
    """Nor is there a term for it; every parameter that is there has a gradient."""
    config = RelationConfig(negatives=20, teacher_head="standardised", sample_share=share, relation=relation)
    criterion = filled(CRCDLoss(6, 9, config, labels=LABELS))
    assert not [name for name, _ in criterion.named_parameters() if "teacher" in name or "mirrored" in name]
    assert criterion.feature.student_head.linear.weight.shape == (9, 6)
    forward(criterion)[0].loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in criterion.parameters())


@pytest.mark.parametrize("kernel", ["oracle", "streaming", "auto"])
def test_the_contrast_against_loops(kernel):
    """In the batch, samples and relations by half; the statistics are those of this batch."""
    config = RelationConfig(
        source="batch", exclude="relax", teacher_head="standardised", gradient_weight=0, kernel=kernel
    )
    torch.manual_seed(0)
    criterion = CRCDLoss(6, 9, config)
    student, teacher, target, _ = views()
    f_t = teacher.feature
    t_BD = F.normalize((f_t - f_t.mean(dim=0)) / f_t.std(dim=0, correction=0), dim=1)
    s_BD = criterion.feature.student_head(student.feature)
    samples, relations = [], []
    for i in range(len(target)):
        samples.append(F.cross_entropy(s_BD[i] @ t_BD.T / config.temperature, torch.tensor(i)))
        for j in range(len(target)):
            if i != j:
                query = F.normalize(s_BD[i] - t_BD[j], dim=0)
                others = [k for k in range(len(target)) if k != j]  # an anchor is no negative
                keys = F.normalize(t_BD[others] - t_BD[j], dim=1)
                place = torch.tensor(others.index(i))
                relations.append(F.cross_entropy(query @ keys.T / config.temperature, place))
    expected = (torch.stack(samples).mean() + torch.stack(relations).mean()) / 2
    gradients = torch.autograd.grad(expected, [student.feature, *criterion.parameters()], retain_graph=True)
    loss = criterion(student, teacher, target).loss
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    own = torch.autograd.grad(loss, [student.feature, *criterion.parameters()])
    torch.testing.assert_close(own, gradients, rtol=1e-4, atol=1e-6)


def test_what_was_learned_is_kept_and_a_scored_batch_adds_nothing():
    criterion = filled(CRCDLoss(6, 9, STANDARDISED, labels=LABELS))
    before = copy.deepcopy(criterion.state_dict())
    forward(criterion.eval())
    assert all(torch.equal(before[name], tensor) for name, tensor in criterion.state_dict().items() if name in before)
    again = CRCDLoss(6, 9, STANDARDISED, labels=LABELS)
    again.load_state_dict(before)
    assert again.feature.teacher_head.count == 72
    assert torch.equal(forward(again.eval())[0].loss, forward(criterion)[0].loss)


@pytest.mark.parametrize("source", ["bank", "queue"])
def test_embeddings_that_are_remembered_are_as_wide_as_the_teachers(source):
    config = RelationConfig(negatives=20, teacher_head="standardised", source=source, remember="embeddings")
    criterion = filled(CRCDLoss(6, 9, config, labels=LABELS))
    kept = criterion.feature.source.state_dict()
    for side in ("student", "teacher"):
        rows = next(tensor for name, tensor in kept.items() if name.startswith(side))
        assert rows.shape[1] == 9
    assert forward(criterion)[0].loss > 0


def test_a_width_is_refused_where_it_is_the_teachers():
    with pytest.raises(CrcdError, match=r"crcd\.dim is 64, but with crcd\.teacher_head standardised"):
        RelationConfig(teacher_head="standardised", dim=64)


@pytest.mark.parametrize(("head", "calls"), [("linear", 2), ("standardised", 1)])
def test_what_is_remembered_of_the_student_is_embedded_for_the_mirrored_term_alone(head, calls):
    criterion = filled(
        CRCDLoss(6, 9, RelationConfig(negatives=20, teacher_head=head, gradient_weight=0), labels=LABELS)
    )
    embedded = []
    criterion.feature.student_head.register_forward_hook(lambda *call: embedded.append(call))
    forward(criterion)
    assert len(embedded) == calls
