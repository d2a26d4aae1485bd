"""From where CRCDLoss sees samples: not from themselves, nor from their class; or as they are."""

import math

import pytest
import torch
from torch.nn import functional as F

from crcd.errors import CrcdError
from crcd.relation import CRCDLoss, RelationConfig
from crcd.relation.contrast import sample_contrast
from crcd.relation.negatives import Negatives
from crcd.relation.objectives import NCE, InfoNCE
from criterion import LABELS, filled, forward, views


def test_own_anchor_is_masked():
    """With one anchor, the first sample's own pair is left out: its feature gets no gradient."""
    criterion = filled(
        CRCDLoss(6, 9, RelationConfig(negatives=20, anchors=1, sample_share=0, gradient_weight=0), labels=LABELS)
    )
    terms, student, _ = forward(criterion)
    terms.loss.backward()
    assert student.feature.grad[0].abs().sum() == 0
    assert (student.feature.grad[1:].abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("anchor", ["current", "bank"])
@pytest.mark.parametrize("element", ["feature", "gradient"])
def test_no_anchor_is_of_the_own_class(element, anchor):
    """With one anchor, no sample of its class gets a gradient, and every other does."""
    weights = {f"{other}_weight": float(other == element) for other in ("feature", "gradient")}
    source = "queue" if anchor == "current" else "bank"
    config = RelationConfig(
        source=source, anchor_source=anchor, negatives=20, anchors=1, sample_share=0, anchor_exclude="exact", **weights
    )
    criterion = filled(CRCDLoss(6, 9, config, labels=LABELS)).eval()
    torch.manual_seed(0)
    student, teacher, target, index = views()
    its_class = target[0]
    if anchor == "bank":
        torch.manual_seed(1)
        contrast = getattr(criterion, element)
        contrast.source.draw_rows(20)
        its_class = LABELS[contrast.source.draw_rows(1)[0]]
    torch.manual_seed(1)
    criterion(student, teacher, target, index).loss.backward()
    moved_B = student.feature.grad.abs().sum(dim=1) > 0
    assert torch.equal(moved_B, target != its_class)
    assert (target == its_class).any()


@pytest.mark.parametrize("kernel", ["oracle", "streaming", "auto"])
def test_samples_alone_are_contrasted(kernel):
    """In the batch that is cross-entropy over the cosines of all pairs, both ways."""
    torch.manual_seed(0)
    config = RelationConfig(source="batch", exclude="relax", sample_share=1.0, gradient_weight=0, kernel=kernel)
    criterion = CRCDLoss(6, 9, config)
    student, teacher, target, _ = views()
    s_BD = criterion.feature.student_head(student.feature)
    t_BD = criterion.feature.teacher_head(teacher.feature)
    first, second = s_BD @ t_BD.detach().T, t_BD @ s_BD.detach().T
    itself = torch.arange(len(target))
    expected = sum(F.cross_entropy(cosine / config.temperature, itself) for cosine in (first, second))
    expected_gradients = torch.autograd.grad(expected, [student.feature, *criterion.parameters()])
    loss = criterion(student, teacher, target).loss
    torch.testing.assert_close(loss, expected)
    gradients = torch.autograd.grad(loss, [student.feature, *criterion.parameters()])
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kernel", ["oracle", "streaming", "auto"])
@pytest.mark.parametrize("share", [0.25, 0.5])
@pytest.mark.parametrize("objective", ["infonce", "nce"])
@pytest.mark.parametrize("relation", ["difference", "mlp"])
def test_samples_have_their_share_of_the_loss(kernel, share, objective, relation):
    """Samples are contrasted as they are, whatever the relation, and NCE has a constant for each kind."""

    def terms(sample_share: float, relation: str) -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(0)
        config = RelationConfig(
            negatives=20,
            dim=8,
            sample_share=sample_share,
            objective=objective,
            relation=relation,
            gradient_weight=0,
            kernel=kernel,
        )
        found = forward(filled(CRCDLoss(6, 9, config, labels=LABELS)))[0]
        return torch.stack([found.loss, found.mi_bound])

    relations, samples = terms(0.0, relation), terms(1.0, "difference")
    assert abs(relations[0] - samples[0]) > 0.1
    expected = (1 - share) * relations + share * samples
    torch.testing.assert_close(terms(share, relation), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("objective", [InfoNCE(0.2), NCE(0.2, torch.tensor(3.0, dtype=torch.float64), 60)])
@pytest.mark.parametrize("shared", [True, False])
def test_the_contrast_of_samples_against_loops(objective, shared):
    torch.manual_seed(0)
    query_BD, positive_BD, rows = (F.normalize(torch.randn(n, 4, dtype=torch.float64), dim=1) for n in (5, 5, 9))
    index_BK = None if shared else torch.randint(0, 9, (5, 6))
    excluded_BK = torch.rand(5, 9 if shared else 6) < 0.4
    excluded_BK[3] = True  # a sample without negatives
    weight_B = torch.tensor([1.0, 0.0, 0.5, 1.0, 2.0], dtype=torch.float64)
    losses, bounds = [], []
    for i in (0, 2, 4):
        keys = rows if shared else rows[index_BK[i]]
        cosines = [float(query_BD[i] @ key) for key, out in zip(keys, excluded_BK[i], strict=True) if not out]
        positive, k = float(query_BD[i] @ positive_BD[i]), len(cosines)
        if isinstance(objective, InfoNCE):
            exponentials = [math.exp(cosine / 0.2) for cosine in (positive, *cosines)]
            losses.append(-math.log(exponentials[0] / sum(exponentials)))
            bounds.append(math.log(k + 1) - losses[-1])
        else:
            p, *others = (math.exp(cosine / 0.2 - 3.0) for cosine in (positive, *cosines))
            q = k / 60
            losses.append(-math.log(p / (p + q)) - sum(math.log(q / (other + q)) for other in others))
            bounds.append(math.log(k) + math.log(p / (p + q)))
    shares = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64) / 3.5

    def loss(query):
        return sample_contrast(query, positive_BD, Negatives(rows, index_BK, excluded_BK), objective, weight_B=weight_B)

    found = loss(query_BD)
    torch.testing.assert_close(found.loss, shares @ torch.tensor(losses, dtype=torch.float64))
    torch.testing.assert_close(found.mi_bound, shares @ torch.tensor(bounds, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda query: loss(query).loss, query_BD.clone().requires_grad_())
    nothing = sample_contrast(query_BD, positive_BD, Negatives(rows), objective, weight_B=torch.zeros_like(weight_B))
    assert (float(nothing.loss), float(nothing.mi_bound)) == (0, 0)


@pytest.mark.parametrize("kernel", ["oracle", "streaming", "auto"])
def test_pairs_weigh_as_much_as_the_teacher_has_them_apart(kernel):
    config = RelationConfig(
        source="batch",
        exclude="relax",
        sample_share=0,
        pair_weighting="distance",
        gradient_weight=0,
        kernel=kernel,
        dim=8,
    )
    torch.manual_seed(0)
    criterion = CRCDLoss(6, 9, config)
    student, teacher, target, _ = views()
    with torch.no_grad():
        s_BD = criterion.feature.student_head(student.feature)
        t_BD = criterion.feature.teacher_head(teacher.feature)
    number = torch.arange(len(target))
    terms, weights = [], []
    for i, j in torch.cartesian_prod(number, number):
        if i != j:
            weights.append((t_BD[i] - t_BD[j]).norm())
            others = (number != i) & (number != j)  # no sample is its own negative, nor is the anchor
            terms.append(sum(infonce(a[i], b, b[j], i, others, config) for a, b in ((s_BD, t_BD), (t_BD, s_BD))))
    expected = torch.tensor(weights) @ torch.stack(terms) / sum(weights)
    torch.testing.assert_close(criterion(student, teacher, target).loss, expected, rtol=1e-5, atol=1e-5)


def infonce(query_D, key_BD, anchor_D, itself, others_B, config):
    query_D, key_BD = F.normalize(query_D - anchor_D, dim=0), F.normalize(key_BD - anchor_D, dim=1)
    cosine_B = key_BD @ query_D / config.temperature
    return torch.logaddexp(cosine_B[itself], cosine_B[others_B].logsumexp(0)) - cosine_B[itself]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_the_share_of_samples_is_one(share):
    with pytest.raises(CrcdError, match=f"crcd.sample_share is {share}: give from 0 to 1"):
        RelationConfig(sample_share=share)


@pytest.mark.parametrize(
    "setting",
    [
        {"relation": "mlp"},
        {"anchors": 8},
        {"anchor_source": "bank"},
        {"anchor_exclude": "exact"},
        {"pair_weighting": "distance"},
    ],
)
def test_samples_alone_leave_nothing_to_choose(setting):
    (name,) = setting
    with pytest.raises(CrcdError, match=f"crcd.{name} is .*, but with crcd.sample_share 1 there are no relations"):
        RelationConfig(source="bank", sample_share=1, **setting)
