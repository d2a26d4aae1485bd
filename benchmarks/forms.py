"""The ways to compute a loss that loss.py compares: the released form, plain CRD, a Gram form, and ours.

Symbols: B samples, A anchors, K negatives, D embedding width, N rows of the bank. Random unit rows stand for a training
step's; sample i of the batch is row i of the bank. Each is differentiated with respect to what it trains: the student's
embedded rows [B, D] and, for the mlp relation, the matrices.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from crcd.relation import MLP, NCE, Difference, InfoNCE, Negatives, relation_contrast
from crcd.relation.objectives import Objective
from timing import Step

TEMPERATURE, NUM_CLASSES = 0.1, 100


@dataclass(frozen=True)
class Size:
    """Shapes of one call."""

    B: int = 64
    A: int = 64
    K: int = 4096
    D: int = 128
    N: int = 50_000


@dataclass(frozen=True)
class Form:
    """One way to compute a loss.

    Attributes:
        name: ``released``, ``CRD``, ``compiled`` or a kernel of ``relation_contrast``.
        shared: one set of negatives for the batch, or own ones for each sample.
        masked: with the masks that training passes (same class, negative equal to an anchor, anchor equal to sample).
    """

    name: str
    objective: str = "nce"
    shared: bool = False
    masked: bool = False
    relation: str = "difference"

    def __str__(self) -> str:
        relation = "" if self.relation == "difference" else f", {self.relation}"
        negatives = "shared" if self.shared else "own"
        return f"{self.name}{relation}, {self.objective}, {negatives}{', masked' if self.masked else ''}"


@dataclass(frozen=True)
class Inputs:
    """Arguments of one call."""

    query_BD: Tensor
    positive_BD: Tensor
    anchor_AD: Tensor
    bank_ND: Tensor
    index_BK: Tensor
    label_N: Tensor
    log_z: Tensor
    mlp: MLP

    @classmethod
    def random(cls, size: Size, device: torch.device) -> "Inputs":
        """Rows are normalised in place, so that making them leaves no peak of memory behind."""
        torch.manual_seed(0)
        counts = (size.B, size.B, size.A, size.N)
        query, positive, anchor, bank = (torch.randn(n, size.D, device=device) for n in counts)
        for rows in (query, positive, anchor, bank):
            rows.div_(torch.linalg.vector_norm(rows, dim=1, keepdim=True))
        index_BK = torch.randint(size.N, (size.B, size.K), device=device)
        label_N = torch.arange(size.N, device=device) % NUM_CLASSES
        matrices = (torch.randn(size.D, size.D, device=device).div_(size.D**0.5).requires_grad_() for _ in range(6))
        log_z = torch.tensor(math.log(size.N) + 5.0, device=device)
        return cls(query.requires_grad_(), positive, anchor, bank, index_BK, label_N, log_z, MLP(*matrices))

    @property
    def num_samples(self) -> int:
        """N."""
        return len(self.bank_ND)


def _unit(x: Tensor) -> Tensor:
    return x / x.pow(2).sum(dim=-1, keepdim=True).sqrt()


def _nce(cosine: Tensor, x: Inputs) -> Tensor:
    """NCE over the last dimension, the positive first, as CRD and the released code write it."""
    noise = (cosine.shape[-1] - 1) / x.num_samples
    p = torch.exp(cosine / TEMPERATURE) / x.log_z.exp()
    positive = torch.log(p[..., 0] / (p[..., 0] + noise))
    return -(positive + torch.log(noise / (p[..., 1:] + noise)).sum(dim=-1)).mean()


def released(x: Inputs) -> Tensor:
    """CRCD as its authors released it: relations are made one by one and kept, [B, A, K + 1, D]."""
    key_BMD = torch.cat([x.positive_BD[:, None], x.bank_ND[x.index_BK]], dim=1)
    key_BAMD = _unit(key_BMD[:, None] - x.anchor_AD[:, None] + 1e-6)
    query_BAD = _unit(x.query_BD[:, None] - x.anchor_AD + 1e-6)
    return _nce((key_BAMD @ query_BAD[..., None]).squeeze(-1), x)


def crd(x: Inputs) -> Tensor:
    """CRD: the samples themselves are contrasted, [B, K + 1, D]."""
    key_BMD = torch.cat([x.positive_BD[:, None], x.bank_ND[x.index_BK]], dim=1)
    return _nce((key_BMD @ x.query_BD[..., None]).squeeze(-1), x)


def gram(
    query_BD: Tensor,
    positive_BD: Tensor,
    anchor_AD: Tensor,
    negative_1KD: Tensor,
    weight_BA: Tensor,
    unusable_BAK: Tensor,
) -> Tensor:
    """InfoNCE of the difference relation from Gram products, [B, A, K] scalars, in plain autograd."""
    square_A = anchor_AD.square().sum(dim=1)

    def cosine(key_bKD: Tensor) -> Tensor:
        s_dot_a_BA1 = (query_BD @ anchor_AD.T)[..., None]
        a_dot_t_bAK = anchor_AD @ key_bKD.mT
        m2_BA1 = query_BD.square().sum(dim=1)[:, None, None] - 2 * s_dot_a_BA1 + square_A[:, None]
        n2_bAK = key_bKD.square().sum(dim=2)[:, None] - 2 * a_dot_t_bAK + square_A[:, None]
        s_dot_t_B1K = query_BD[:, None] @ key_bKD.mT
        dot_BAK = s_dot_t_B1K - s_dot_a_BA1 - a_dot_t_bAK + square_A[:, None]
        return dot_BAK * (m2_BA1.clamp_min(1e-6) * n2_bAK.clamp_min(1e-6)).rsqrt()

    positive_BA1 = cosine(positive_BD[:, None]) / TEMPERATURE
    negative_BAK = (cosine(negative_1KD) / TEMPERATURE).masked_fill(unusable_BAK, -torch.inf)
    loss_BA = torch.cat([positive_BA1, negative_BAK], dim=2).logsumexp(dim=2) - positive_BA1[..., 0]
    return (weight_BA * loss_BA).sum() / weight_BA.sum()


def _negatives(form: Form, x: Inputs) -> tuple[Negatives, Tensor | None, Tensor | None]:
    """Negatives, weight_BA and anchor_sample_A."""
    batch, anchors = len(x.query_BD), len(x.anchor_AD)
    row_K = x.index_BK[0]
    sample_A = torch.arange(anchors, device=row_K.device) if form.masked else None
    weight_BA = 1 - torch.eye(batch, anchors, device=row_K.device) if form.masked else None
    if form.shared:
        excluded_BK = x.label_N[row_K] == x.label_N[:batch, None] if form.masked else None
        return Negatives(x.bank_ND[row_K], None, excluded_BK, row_K), weight_BA, sample_A
    # the sampler keeps to other classes, so that no mask is needed but for anchors
    sample_N = torch.arange(x.num_samples, device=row_K.device)
    return Negatives(x.bank_ND, x.index_BK, None, sample_N), weight_BA, sample_A


def ours(form: Form, x: Inputs) -> Tensor:
    """``relation_contrast``, the gather of the shared rows and the making of the masks included."""
    negatives, weight_BA, sample_A = _negatives(form, x)
    objective: Objective = InfoNCE(TEMPERATURE)
    if form.objective == "nce":
        objective = NCE(TEMPERATURE, x.log_z, x.num_samples)
    return relation_contrast(
        Difference() if form.relation == "difference" else x.mlp,
        x.query_BD,
        x.positive_BD,
        x.anchor_AD,
        negatives,
        objective,
        weight_BA=weight_BA,
        anchor_sample_A=sample_A,
        kernel=form.name,  # type: ignore[arg-type]
    ).loss


def gram_arguments(form: Form, x: Inputs) -> tuple[Tensor, ...]:
    """Arguments of ``gram`` for shared, masked negatives."""
    negatives, weight_BA, sample_A = _negatives(form, x)
    excluded_BK, is_anchor_1AK = negatives.excluded_BK, negatives.is_anchor(sample_A, slice(0, len(x.query_BD)))
    if weight_BA is None or excluded_BK is None or is_anchor_1AK is None:
        raise ValueError(f"'{form}' is not shared and masked")
    unusable_BAK = is_anchor_1AK | excluded_BK[:, None]
    return x.query_BD, x.positive_BD, x.anchor_AD, negatives.rows[None], weight_BA, unusable_BAK


def make_step(form: Form, size: Size, device: torch.device) -> Step:
    """Forward and backward of a form; the step returns the loss and the gradient at the queries."""
    x = Inputs.random(size, device)
    trained = [x.query_BD, *(vars(x.mlp).values() if form.relation == "mlp" else ())]
    losses: dict[str, Callable[[Inputs], Tensor]] = {"released": released, "CRD": crd}
    if form.name == "compiled":
        compiled = torch.compile(gram, dynamic=False)
        losses["compiled"] = lambda x: compiled(*gram_arguments(form, x))
    loss = losses.get(form.name, partial(ours, form))

    def step() -> tuple[Tensor, Tensor]:
        value = loss(x)
        return value.detach(), torch.autograd.grad(value, trained)[0]

    return step


def check_same_answer(forms: list[Form], size: Size, device: torch.device) -> None:
    """Refuse to time forms that do not compute the same thing; all are compared with the first."""
    answers: list[Any] = [make_step(form, size, device)() for form in forms]
    loss, gradient = answers[0]
    for form, (our_loss, our_gradient) in zip(forms[1:], answers[1:], strict=True):
        error = float((our_gradient - gradient).norm() / gradient.norm())
        if abs(float(our_loss / loss) - 1) > 1e-4 or error > 1e-3:
            raise SystemExit(
                f"error: '{form}' disagrees with '{forms[0]}': loss {float(our_loss)} against {float(loss)}, "
                f"relative error of the gradient {error:.1e}"
            )
