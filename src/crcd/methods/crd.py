"""Contrastive representation distillation."""

from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.method import Method, numbered
from crcd.relation.bank import Bank
from crcd.relation.direction import Samples
from crcd.relation.embedding import Embedding
from crcd.relation.objectives import MIN_TEMPERATURE
from crcd.relation.source import Elements
from crcd.relation.view import View


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
    """One draw of K negatives for the whole batch (as CRCD's, so that both sample alike; and cheaper), or one
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
            require(holds, f"crd.{name}", getattr(self, name), f"give {advice}")


class CRD(Method):
    r"""A sample's features in both networks belong together, those of two samples do not.

    .. math:: \mathit{weight} \; \big( L(s, M_t) + L(t, M_s) \big)

    .. math::
       L(s, M) = -\frac{1}{B} \sum_i
       \Big( \log \frac{P_{i0}}{P_{i0} + q} + \sum_{k=1}^{K} \log \frac{q}{P_{ik} + q} \Big)

    with P = exp(cos / tau) / Z of a sample and a row of the other network's bank M, q = K / N, and Z, frozen on the
    first batch of training, N times the mean of exp(cos / tau) over its samples and their keys.

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
        self.student_term = Samples("nce", config.temperature, len(labels_N))
        self.teacher_term = Samples("nce", config.temperature, len(labels_N))

    @classmethod
    def build(cls, config: CRDConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config, student.feature.shape[1], teacher.feature.shape[1], numbered(labels_N, "crd"))

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        s_BD, t_BD = self.student_head(student.feature), self.teacher_head(teacher.feature.detach())
        weight_B = torch.ones_like(batch.target, dtype=s_BD.dtype)
        elements = Elements(s_BD.detach(), t_BD.detach(), batch.target, batch.index, weight_B > 0)
        drawn = self.bank.draw(elements)
        assert batch.index is not None  # or nothing could be drawn
        student_positive_BD, teacher_positive_BD = self.bank.rows(batch.index)
        count_B = drawn.teacher.count(len(s_BD), None, 1)[:, 0]
        terms = [
            self.student_term(s_BD, teacher_positive_BD, weight_B, drawn.teacher, count_B),
            self.teacher_term(t_BD, student_positive_BD, weight_B, drawn.student, count_B),
        ]
        if self.training:
            self.bank.update(elements)
        crd = self.config.weight * (terms[0].loss + terms[1].loss)
        return {"loss": crd, "crd": crd.detach(), "crd_mi_bound": terms[0].mi_bound}
