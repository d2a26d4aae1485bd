"""CRCDLoss: gradients, masks, state, and what reaches which parameters."""

import itertools
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn import functional as F

from crcd.errors import CrcdError
from crcd.relation import CRCDLoss, RelationConfig, View
from crcd.relation.contrast import sample_contrast
from crcd.relation.objectives import InfoNCE
from crcd.relation.source import Elements
from criterion import LABELS, N, filled, forward, views


@pytest.mark.parametrize(
    ("relation", "objective", "source", "positive", "shared", "exclude", "remember"),
    [
        c
        for c in itertools.product(
            ["difference", "mlp"], ["infonce", "nce"], ["bank", "queue", "batch"], ["current", "bank"], [True, False],
            ["exact", "relax"], ["elements", "embeddings"],
        )
        if c[2] == "bank" or (c[3] == "current" and c[4] and (c[2] == "queue" or c[6] == "elements"))
    ],
)  # fmt: skip
def test_every_form_trains_all_its_parameters(relation, objective, source, positive, shared, exclude, remember):
    torch.manual_seed(0)
    config = RelationConfig(
        relation=relation, objective=objective, source=source, positive_source=positive, anchor_source=positive,
        shared=shared, exclude=exclude, remember=remember, negatives=20, dim=8,
    )  # fmt: skip
    criterion = filled(CRCDLoss(6, 9, config, labels=LABELS))
    terms, student, teacher = forward(criterion, 1)
    terms.loss.backward()
    assert terms.loss.isfinite()
    assert terms.loss.item() == pytest.approx(terms.feature.item() + 0.1 * terms.gradient.item(), rel=1e-5)
    assert student.feature.grad.abs().sum() > 0
    assert student.classifier.weight.grad.abs().sum() > 0, "the gradient element trains the student's classifier"
    assert teacher.classifier.weight.grad is None
    for name, parameter in criterion.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("element", ["feature", "gradient"])
@pytest.mark.parametrize(("source", "where"), [("queue", "current"), ("bank", "current"), ("bank", "bank")])
@pytest.mark.parametrize("remember", ["elements", "embeddings"])
def test_elements_remembered_are_embedded_by_the_heads_of_now(element, source, where, remember):
    """Heads that change after the memory was filled count as if they had been the heads all the time."""
    weights = {f"{other}_weight": float(other == element) for other in ("feature", "gradient")}
    config = RelationConfig(
        source=source, negatives=20, dim=8, remember=remember, positive_source=where, anchor_source=where, **weights
    )

    def loss(heads_at_first: int) -> torch.Tensor:
        torch.manual_seed(0)
        criterion = CRCDLoss(6, 9, config, labels=LABELS)
        set_heads(criterion, heads_at_first)
        filled(criterion)
        set_heads(criterion, 2)
        return forward(criterion)[0].loss

    same = torch.allclose(loss(heads_at_first=1), loss(heads_at_first=2), rtol=1e-5)
    assert same == (remember == "elements")


def test_positives_of_a_bank_are_the_rows_of_the_batchs_own_samples():
    config = RelationConfig(
        source="bank", positive_source="bank", sample_share=1.0, negatives=20, dim=8, gradient_weight=0.0
    )
    criterion = filled(CRCDLoss(6, 9, config, labels=LABELS))
    element = criterion.feature
    student, teacher, target, index = views()
    every = torch.ones(len(index), dtype=torch.bool)
    torch.manual_seed(3)
    drawn = element.source.draw(Elements(student.feature.detach(), teacher.feature, target, index, every))
    heads, queries = (element.student_head, element.teacher_head), (student.feature, teacher.feature)
    rows = [bank_ND[index].clone() for bank_ND in (element.source.student_ND, element.source.teacher_ND)]
    expected = 0.0
    for own, other in ((0, 1), (1, 0)):
        negatives = replace(drawn[other], rows=heads[other](drawn[other].rows))
        positive_BD = heads[other](rows[other])
        weight_B = torch.ones(len(index))
        contrast = sample_contrast(
            heads[own](queries[own]), positive_BD, negatives, InfoNCE(config.temperature), weight_B=weight_B
        )
        expected += contrast.loss.item()
    torch.manual_seed(3)
    assert criterion(student, teacher, target, index).loss.item() == pytest.approx(expected, rel=1e-5)


def set_heads(criterion: CRCDLoss, seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in criterion.parameters():
            parameter.normal_(generator=draws)


def test_sample_numbers_may_be_a_column_of_a_table():
    student, teacher, target, index = views()
    criterion = filled(CRCDLoss(6, 9, RelationConfig(negatives=20, dim=8), labels=LABELS)).eval()
    column = torch.stack([target, index], dim=1)[:, 1]
    assert not column.is_contiguous()
    torch.manual_seed(0)
    expected = criterion(student, teacher, target, index).loss
    torch.manual_seed(0)
    assert torch.equal(criterion(student, teacher, target, column).loss, expected)


def test_samples_with_vanishing_gradient_weigh_nothing():
    config = RelationConfig(negatives=20, feature_weight=0, min_gradient=1e-3)
    criterion = filled(CRCDLoss(6, 9, config, labels=LABELS))
    student, teacher, target, index = views()
    logits = teacher.logits.clone()
    logits[2, target[2]] += 50
    logits = logits.requires_grad_(False)
    student_logits = student.logits
    student_logits.retain_grad()
    criterion(student, View(logits, teacher.feature, teacher.classifier), target, index).loss.backward()
    assert student_logits.grad[2].abs().sum() == 0
    assert student_logits.grad[1].abs().sum() > 0


@pytest.mark.parametrize("head", ["linear", "affine"])
def test_a_bias_swamps_the_gradients(head):
    """Only without one do the embedded gradients of a well fitted batch point in ways of their own."""
    torch.manual_seed(0)
    config = RelationConfig(source="batch", feature_weight=0, gradient_weight=1, gradient_head=head)
    criterion = CRCDLoss(6, 9, config)
    embedded = []
    criterion.gradient.teacher_head.register_forward_hook(lambda *call: embedded.append(call[2]))
    student, teacher, target, _ = views()
    fitted = View(teacher.logits + 5 * F.one_hot(target, 5), teacher.feature, teacher.classifier)
    terms = criterion(student, fitted, target)
    terms.loss.backward()
    assert terms.loss.isfinite()
    cosines = embedded[0] @ embedded[0].T
    assert (cosines.min() > 0.99) == (head == "affine")


def test_a_student_that_copies_the_teacher_reaches_a_high_bound():
    torch.manual_seed(0)
    config = RelationConfig(source="batch", exclude="relax", gradient_weight=0, dim=16)
    criterion = CRCDLoss(9, 9, config)
    optimizer = torch.optim.Adam(criterion.parameters(), lr=1e-2)
    head = nn.Linear(9, 5)
    bounds = []
    for _ in range(150):
        f = torch.randn(32, 9)
        view = View(head(f).detach(), f, head)
        terms = criterion(view, view, torch.zeros(32, dtype=torch.long))
        optimizer.zero_grad()
        terms.loss.backward()
        optimizer.step()
        bounds.append(terms.mi_bound.item())
    assert sum(bounds[-10:]) / 10 > sum(bounds[:10]) / 10 + 1.0
    assert max(bounds) <= torch.tensor(32.0).log().item()


@pytest.mark.parametrize("objective", ["infonce", "nce"])
@pytest.mark.parametrize("source", ["bank", "queue"])
def test_state_goes_on_to_the_bit(source, objective):
    config = RelationConfig(source=source, objective=objective, negatives=20)
    torch.manual_seed(1)
    first = CRCDLoss(6, 9, config, labels=LABELS)
    filled(first)
    torch.manual_seed(2)
    second = CRCDLoss(6, 9, config, labels=LABELS)
    second.load_state_dict(load(save(first.state_dict())))  # a format of tensors alone
    assert torch.equal(forward(first, 3)[0].loss, forward(second, 3)[0].loss)


def test_evaluation_leaves_the_bank_alone():
    criterion = CRCDLoss(6, 9, RelationConfig(negatives=20, source="bank"), labels=LABELS).eval()
    before = criterion.feature.source.teacher_ND.clone()
    forward(criterion)
    assert torch.equal(criterion.feature.source.teacher_ND, before)
    criterion.train()
    forward(criterion)
    assert not torch.equal(criterion.feature.source.teacher_ND, before)


def test_bank_needs_labels():
    for config in (RelationConfig(source="bank"), RelationConfig(objective="nce")):
        with pytest.raises(CrcdError, match="pass labels, or set source to queue"):
            CRCDLoss(6, 9, config)


def test_a_queue_needs_no_labels_and_holds_no_more_than_one_epoch():
    assert len(CRCDLoss(6, 9).feature.source.sample_K) == 4096
    assert len(CRCDLoss(6, 9, labels=LABELS).feature.source.sample_K) == N


def test_float_logits_in_half_precision():
    criterion = filled(CRCDLoss(6, 9, RelationConfig(negatives=20), labels=LABELS))
    student, teacher, target, index = views()
    half = View(student.logits.bfloat16(), student.feature.bfloat16(), student.classifier)
    loss = criterion(half, teacher, target, index).loss
    assert loss.dtype == torch.float32
    assert F.relu(loss) > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.001}, r"crcd\.temperature is 0\.001: give 0\.02 or more"),
        ({"negatives": 0}, r"crcd\.negatives is 0: give 1 or more"),
        ({"positive_source": "bank"}, r"negatives come from the queue: set crcd\.source to bank"),
        ({"source": "batch", "shared": False}, r"crcd\.shared is False, but .* the batch: set crcd\.source to bank"),
        ({"bank_momentum": 0.9}, r"crcd\.bank_momentum is 0\.9, but .* the queue: set crcd\.source to bank"),
        ({"hidden": 8}, r"crcd\.hidden is 8, but the difference relation has no hidden layer: leave it out"),
        (
            {"source": "batch", "remember": "embeddings"},
            r"remember is embeddings, but .* which nothing remembers",
        ),
        ({"gradient_weight": 0, "gradient_head": "affine"}, r"affine, but crcd\.gradient_weight is 0: leave it out"),
        ({"gradient_weight": 0, "feature_weight": 0}, r"are 0: give one a weight, or leave out crcd"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(CrcdError, match=message):
        RelationConfig(**settings)


def test_what_the_heads_can_not_take_is_said():
    criterion = filled(CRCDLoss(6, 9, RelationConfig(negatives=20), labels=LABELS))
    student, teacher, target, index = views()
    with pytest.raises(CrcdError, match=r"a feature has 9 numbers, its head takes 6: make the loss for .* own widths"):
        criterion(teacher, teacher, target, index)
    with pytest.raises(CrcdError, match=r"the heads are torch\.bfloat16: keep the loss in float32"):
        criterion.bfloat16()(student, teacher, target, index)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("relation", ["difference", "mlp"])
@pytest.mark.parametrize(("objective", "weighting"), [("infonce", "equal"), ("nce", "equal"), ("infonce", "distance")])
def test_autocast_changes_nothing_within_the_loss(dtype, relation, objective, weighting):
    torch.manual_seed(0)
    config = RelationConfig(negatives=16, dim=8, relation=relation, objective=objective, pair_weighting=weighting)
    criterion = filled(CRCDLoss(6, 9, config, labels=LABELS)).eval()

    seen = views()

    def loss():
        torch.manual_seed(1)
        return criterion(*seen).loss

    plain = loss()
    assert plain > 1
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(loss(), plain)


def test_vanished_gradients_are_neither_kept_nor_negatives():
    torch.manual_seed(0)
    labels = torch.arange(64) % 4
    criterion = CRCDLoss(6, 6, RelationConfig(negatives=16, source="bank", feature_weight=0), labels=labels)
    before = criterion.gradient.source.teacher_ND.clone()
    head, index = nn.Linear(6, 4), torch.arange(12)
    feature = torch.randn(12, 6)
    logits = torch.randn(12, 4)
    logits[:3] = 300.0 * F.one_hot(labels[:3], 4)
    view = View(logits, feature, head)
    criterion(view, view, labels[index], index)
    after = criterion.gradient.source.teacher_ND
    assert torch.equal(after[:3], before[:3])
    assert not torch.equal(after[3:12], before[3:12])
    assert not criterion.gradient.source.seen_N[:3].any()
    assert criterion.gradient.source.seen_N[3:12].all()


@pytest.mark.parametrize("setting", ["source", "exclude", "relation", "objective", "anchor_source"])
def test_misspelt_settings_are_refused(setting):
    with pytest.raises(CrcdError, match=f"unknown crcd.{setting} 'foo'"):
        RelationConfig(**{setting: "foo"})


def test_kernels_give_the_same_loss():
    def loss(kernel):
        torch.manual_seed(0)
        criterion = CRCDLoss(6, 9, RelationConfig(negatives=16, dim=8, kernel=kernel), labels=LABELS)
        return forward(filled(criterion))[0].loss

    assert loss("oracle") > 1
    assert torch.allclose(loss("oracle"), loss("streaming"), rtol=1e-5)
    if not torch.cuda.is_available():  # Triton's interpreter takes elements on the CPU
        assert torch.allclose(loss("oracle"), loss("triton"), rtol=1e-5)
    assert torch.allclose(loss("oracle"), loss("auto"), rtol=1e-5)
