"""Logit distillation."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.method import Method
from crcd.relation.view import View

EPSILON = 1e-7
"""Added to a standard deviation that divides logits."""


def standardised(logits_BC: Tensor) -> Tensor:
    """Each sample's (z - mean) / (std + 1e-7) over its C logits, with the deviation of a sample (C - 1)."""
    return (logits_BC - logits_BC.mean(dim=1, keepdim=True)) / (logits_BC.std(dim=1, keepdim=True) + EPSILON)


def distillation_loss(student_logits_BC: Tensor, teacher_logits_BC: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(z_t / T) || softmax(z_s / T)), batch mean, in nats (Hinton et al. 2015, section 2)."""
    dtype = torch.promote_types(student_logits_BC.dtype, torch.float32)
    log_p_s = F.log_softmax(student_logits_BC.to(dtype) / temperature, dim=1)
    log_p_t = F.log_softmax(teacher_logits_BC.to(dtype) / temperature, dim=1)
    return F.kl_div(log_p_s, log_p_t, reduction="batchmean", log_target=True) * temperature**2


@dataclass(frozen=True)
class KDConfig:
    """Settings of logit distillation."""

    weight: float = 0.9
    """Weight of the term (the CRD authors' benchmark; 1 where it stands beside CRD there)."""
    temperature: float = 4.0
    """Temperature T that softens both distributions."""
    standardise: bool = False
    """Standardise each sample's logits first; its authors then take weight 9 and temperature 2."""
    ce_weight: float = 0.1
    """Weight of cross-entropy where no method beside it asks for more (the CRD authors' benchmark)."""

    def __post_init__(self) -> None:
        for name in ("weight", "ce_weight"):
            require(getattr(self, name) >= 0, f"kd.{name}", getattr(self, name), "give a weight of 0 or more")
        require(self.temperature > 0, "kd.temperature", self.temperature, "give a temperature above 0")


class KD(Method):
    r"""The student's softened probabilities are the teacher's.

    .. math::
       \mathit{weight} \; T^2 \, \mathrm{KL}\big(\mathrm{softmax}(z_t / T) \,\Vert\, \mathrm{softmax}(z_s / T)\big)

    on logits z, [B, C], as a mean over the batch, beside ``ce_weight`` times cross-entropy.

    Source: Hinton, Vinyals and Dean 2015, arXiv 1503.02531. With ``standardise`` the logits of both are standardised
    first: Sun, Ren, Li, Wang and Cao, CVPR 2024, arXiv 2403.01427, with T their base temperature. As in their code the
    deviation is that of a sample and 1e-7 is added to it.
    """

    def __init__(self, config: KDConfig) -> None:
        super().__init__()
        self.config = config
        self.ce_weight = config.ce_weight

    @classmethod
    def build(cls, config: KDConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config)

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        z_s, z_t = student.logits, teacher.logits.detach()
        if self.config.standardise:
            z_s, z_t = standardised(z_s), standardised(z_t)
        loss = self.config.weight * distillation_loss(z_s, z_t, self.config.temperature)
        return {"loss": loss, "kd": loss.detach()}
