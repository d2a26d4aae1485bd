"""Contrastive representation distillation."""

import math
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor, nn

from crcd.data.batch import Batch
from crcd.errors import CrcdError
from crcd.methods.method import Method, numbered
from crcd.relation.bank import Bank
from crcd.relation.embedding import Embedding
from crcd.relation.negatives import Negatives
from crcd.relation.objectives import MIN_TEMPERATURE, NCE
from crcd.relation.source import Elements
from crcd.relation.view import View


def cosines(query_BD: Tensor, positive_BD: Tensor, negatives: Negatives) -> tuple[Tensor, Tensor]:
    """Cosines of unit rows: query with its positive key, [B, 1], and with its K negatives, [B, K].

    Where each sample has negatives of its own, they are picked from the cosines with all N rows, [B, N]: no
    [B, K, D] block is made.
    """
    positive_B1 = (query_BD * positive_BD).sum(dim=1, keepdim=True)
    negative_BK = query_BD @ negatives.rows.T
    return positive_B1, negative_BK if negatives.index_BK is None else negative_BK.gather(1, negatives.index_BK)


def usable(negative_BK: Tensor, excluded_BK: Tensor | None) -> Tensor:
    """1 where a negative may be used and 0 where not, [B, K]."""
    return torch.ones_like(negative_BK) if excluded_BK is None else (~excluded_BK).to(negative_BK.dtype)


def crd_loss(positive_B1: Tensor, negative_BK: Tensor, usable_BK: Tensor, objective: NCE) -> Tensor:
    """Noise-contrastive loss of each sample, nats, [B] (Tian et al. 2020, eq. 18 with K / N as the noise's odds).

    With q = K_i / N for the K_i usable negatives of sample i and P = exp(cos / tau) / Z:
    L_i = -log(P_i0 / (P_i0 + q)) - sum_k log(q / (P_ik + q)).

    Args:
        positive_B1: cosines with the positive keys.
        negative_BK: cosines with the negatives.
        usable_BK: 1 where a negative may be used, else 0.
        objective: tau, log Z and N.
    """
    count_B1 = usable_BK.sum(dim=1, keepdim=True)
    attraction_B = nn.functional.softplus(-objective.log_odds(positive_B1, count_B1))[:, 0]
    repulsion_BK = nn.functional.softplus(objective.log_odds(negative_BK, count_B1))
    return attraction_B + (repulsion_BK * usable_BK).sum(dim=1)


@dataclass(frozen=True)
class CRDConfig:
    """Settings of CRD: the authors' for CIFAR-100."""

    weight: float = 0.8
    """Weight of both directions' losses beside cross-entropy of weight 1 (the authors' beta)."""
    temperature: float = 0.07
    """Temperature tau of the critic (authors)."""
    dim: int = 128
    """Width D of the embedded features (authors)."""
    negatives: int = 16384
    """Number K of negatives, all of other classes than the sample's (authors)."""
    shared: bool = True
    """One draw of K negatives for the whole batch (as CRCD's default, so that both sample alike; and cheaper), or one
    for each sample (the authors' code)."""
    bank_momentum: float = 0.5
    """Share of its old value that a bank row keeps (authors)."""
    bank_precision: Literal["float32", "float16"] = "float32"
    """Of the bank's rows; float16 halves its memory."""
    bank_rows: Literal["replicated", "sharded"] = "replicated"
    """Of several processes each holds all rows of the bank, or its share of them; the numbers are the same."""

    def __post_init__(self) -> None:
        for name, holds, advice in (
            ("weight", self.weight >= 0, "0 or more"),
            ("temperature", self.temperature >= MIN_TEMPERATURE, f"{MIN_TEMPERATURE} or more"),
            ("dim", self.dim >= 2, "2 or more"),
            ("negatives", self.negatives >= 1, "1 or more"),
            ("bank_momentum", 0 <= self.bank_momentum < 1, "from 0 to below 1"),
        ):
            if not holds:
                raise CrcdError(f"crd.{name} is {getattr(self, name)}: give {advice}")


class _Direction(nn.Module):
    """One direction of the contrast and its constant Z = N * mean over the first batch's keys of exp(cos / tau).

    Z is found on the device and kept as a buffer, so that the step never waits for it.
    """

    log_z: Tensor
    frozen: Tensor

    def __init__(self, temperature: float, num_samples: int) -> None:
        super().__init__()
        self.temperature, self.num_samples = temperature, num_samples
        self.register_buffer("log_z", torch.zeros(()))
        self.register_buffer("frozen", torch.zeros((), dtype=torch.bool))

    def forward(self, query_BD: Tensor, positive_BD: Tensor, negatives: Negatives) -> tuple[Tensor, Tensor]:
        """Loss of the batch and lower bound of the mutual information, nats."""
        positive_B1, negative_BK = cosines(query_BD, positive_BD, negatives)
        usable_BK = usable(negative_BK, negatives.excluded_BK)
        log_z = self._log_z(positive_B1.detach(), negative_BK.detach(), usable_BK)
        objective = NCE(self.temperature, log_z, self.num_samples)
        loss_B = crd_loss(positive_B1, negative_BK, usable_BK, objective)
        bound_B = objective.bound(loss_B.detach(), positive_B1.detach()[:, 0], usable_BK.sum(dim=1))
        return loss_B.mean(), bound_B.mean()

    def _log_z(self, positive_B1: Tensor, negative_BK: Tensor, usable_BK: Tensor) -> Tensor:
        negatives = ((negative_BK / self.temperature).exp() * usable_BK).sum()
        mean = ((positive_B1 / self.temperature).exp().sum() + negatives) / (len(positive_B1) + usable_BK.sum())
        log_z = torch.where(self.frozen, self.log_z, mean.log() + math.log(self.num_samples))
        if self.training:
            self.log_z.copy_(log_z)
            self.frozen.fill_(True)
        return log_z


class CRD(Method):
    r"""A sample's features in both networks belong together, those of two samples do not.

    .. math:: \mathit{weight} \; \big( L(s, M_t) + L(t, M_s) \big)

    .. math::
       L(s, M) = -\frac{1}{B} \sum_i
       \Big( \log \frac{P_{i0}}{P_{i0} + q} + \sum_{k=1}^{K} \log \frac{q}{P_{ik} + q} \Big)

    with P = exp(cos / tau) / Z of a sample and a row of the other network's bank M, and q = K / N.

    s and t, [B, D], are the penultimate features after a linear layer each and l2-normalisation; both layers learn.
    A positive key is the sample's own bank row of the other network, as it was before this batch; negatives are rows
    of other classes. After the step's draw, rows become l2norm(momentum * row + (1 - momentum) * new).
    Source: Tian, Krishnan, Isola, ICLR 2020, arXiv 1910.10699, eq. 18, and the authors' code.

    Departures: negatives shared by the batch unless ``shared`` is off, then q counts the usable ones; K draws by
    strata instead of a permutation for each sample; a row's first visit replaces its random start; no 1e-7 in the
    denominators.
    """

    one_class = True

    def __init__(self, config: CRDConfig, student_dim: int, teacher_dim: int, labels_N: Tensor) -> None:
        super().__init__()
        self.config = config
        self.student_head = Embedding(student_dim, config.dim, bias=True)
        self.teacher_head = Embedding(teacher_dim, config.dim, bias=True)
        self.bank = Bank(
            labels_N,
            (config.dim, config.dim),
            config.negatives,
            exact=True,
            shared=config.shared,
            momentum=config.bank_momentum,
            unit=True,
            half=config.bank_precision == "float16",
            sharded=config.bank_rows == "sharded",
        )
        self.student_term = _Direction(config.temperature, len(labels_N))
        self.teacher_term = _Direction(config.temperature, len(labels_N))

    @classmethod
    def build(cls, config: CRDConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config, student.feature.shape[1], teacher.feature.shape[1], numbered(labels_N, "crd"))

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        s_BD, t_BD = self.student_head(student.feature), self.teacher_head(teacher.feature.detach())
        every_B = torch.ones_like(batch.target, dtype=torch.bool)
        elements = Elements(s_BD.detach(), t_BD.detach(), batch.target, batch.index, every_B)
        drawn = self.bank.draw(elements)
        assert batch.index is not None  # or nothing could be drawn
        student_positive_BD, teacher_positive_BD = self.bank.rows(batch.index)
        student_loss, bound = self.student_term(s_BD, teacher_positive_BD, _kept(drawn.teacher))
        teacher_loss, _ = self.teacher_term(t_BD, student_positive_BD, _kept(drawn.student))
        if self.training:
            self.bank.update(elements)
        crd = self.config.weight * (student_loss + teacher_loss)
        return {"loss": crd, "crd": crd.detach(), "crd_mi_bound": bound}


def _kept(negatives: Negatives) -> Negatives:
    """The same rows in memory of their own: those of a bank change before the backward pass reads them."""
    if negatives.index_BK is None:
        return negatives
    return Negatives(negatives.rows.clone(), negatives.index_BK, negatives.excluded_BK, negatives.sample)
