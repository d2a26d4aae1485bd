"""Decoupled logit distillation."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.kd import distillation_loss, standardised
from crcd.methods.method import Method, numbered
from crcd.methods.warm_up import WarmUp
from crcd.relation.view import View


class DKDTerms(NamedTuple):
    """The two halves of logit distillation, unweighted scalars in nats."""

    target: Tensor
    """TCKD: KL of the two probabilities (the class, all others)."""
    others: Tensor
    """NCKD: KL of the probabilities among the others."""


def dkd_terms(student_logits_BC: Tensor, teacher_logits_BC: Tensor, target_B: Tensor, temperature: float) -> DKDTerms:
    """Both T^2 KL(teacher || student) of the decoupled distributions, batch means.

    Args:
        student_logits_BC: z_s, [B, C], C of 2 or more.
        teacher_logits_BC: z_t, [B, C].
        target_B: class of each sample, [B].
        temperature: T, divides all logits.
    """
    own_s, others_s = _decoupled(student_logits_BC, target_B, temperature)
    own_t, others_t = _decoupled(teacher_logits_BC, target_B, temperature)
    return DKDTerms(distillation_loss(own_s, own_t, temperature), distillation_loss(others_s, others_t, temperature))


def _decoupled(logits_BC: Tensor, target_B: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Logits of (the class, all others), [B, 2], and logits of the others alone, [B, C - 1]."""
    other = torch.arange(logits_BC.shape[1] - 1, device=logits_BC.device)
    others = logits_BC.gather(1, other + (other >= target_B[:, None]))
    own = logits_BC.gather(1, target_B[:, None])
    rest = temperature * (others / temperature).logsumexp(dim=1, keepdim=True)
    return torch.cat([own, rest], dim=1), others


@dataclass(frozen=True)
class DKDConfig:
    """Settings of decoupled logit distillation."""

    alpha: float = 1.0
    """Weight of the target class's term beside cross-entropy of weight 1 (the paper)."""
    beta: float = 8.0
    """Weight of the other classes' term: the authors' default; they choose it for each pair of networks."""
    temperature: float = 4.0
    """Temperature T that softens both distributions (the authors' for CIFAR-100)."""
    warm_up_epochs: int = 20
    """Epochs over which both weights grow, epoch by epoch (the authors' code)."""
    standardise: bool = False
    """Standardise each sample's logits first; the code of its authors then takes alpha 9 and beta 81."""

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "warm_up_epochs"):
            require(getattr(self, name) >= 0, f"dkd.{name}", getattr(self, name), "give 0 or more")
        require(self.temperature > 0, "dkd.temperature", self.temperature, "give a temperature above 0")


class DKD(Method):
    r"""Logit distillation with its two halves weighted apart.

    .. math:: w \, ( \alpha \; \mathrm{TCKD} + \beta \; \mathrm{NCKD} )

    .. math::
       \mathrm{TCKD} = T^2 \, \mathrm{KL}(b_t \,\Vert\, b_s), \qquad
       \mathrm{NCKD} = T^2 \, \mathrm{KL}(q_t \,\Vert\, q_s)

    With the true class y and p = softmax(z / T), [B, C]: b is (p_y, 1 - p_y), and q is p over the other classes,
    divided by 1 - p_y. Plain distillation is TCKD + (1 - p^t_y) NCKD. In epoch e, from 1, w = min(1, e /
    warm_up_epochs).

    Source: Zhao, Cui, Song, Qiu and Liang, CVPR 2022, arXiv 2203.08679, equation 7, with the warm-up
    of the authors' code. Standardised logits are those of ``KD``; the code of their authors multiplies alpha by 9, then
    sets beta to alpha * 9, and leaves T as is.
    """

    one_class = True

    def __init__(self, config: DKDConfig, num_samples: int) -> None:
        super().__init__()
        self.config = config
        self.warm_up = WarmUp(config.warm_up_epochs, num_samples, first=1)

    @classmethod
    def build(cls, config: DKDConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config, len(numbered(labels_N, "dkd")))

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        z_s, z_t = student.logits, teacher.logits.detach()
        if self.config.standardise:
            z_s, z_t = standardised(z_s), standardised(z_t)
        terms = dkd_terms(z_s, z_t, batch.target, self.config.temperature)
        share = self.warm_up(len(batch.target))
        target, others = share * self.config.alpha * terms.target, share * self.config.beta * terms.others
        loss = target + others
        return {"loss": loss, "dkd": loss.detach(), "tckd": target.detach(), "nckd": others.detach()}
