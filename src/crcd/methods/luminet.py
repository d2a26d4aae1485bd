"""Distillation of logits that are standardised over the batch."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.kd import distillation_loss
from crcd.methods.method import Method, numbered
from crcd.methods.warm_up import WarmUp
from crcd.relation.view import View

EPSILON = 1e-5
"""Added to a variance over the batch."""


def perception(logits_BC: Tensor) -> Tensor:
    """Each class's (z - mean) / sqrt(variance + 1e-5) over the B samples, with the variance that divides by B."""
    variance_C, mean_C = torch.var_mean(logits_BC, dim=0, correction=0)
    return (logits_BC - mean_C) / (variance_C + EPSILON).sqrt()


@dataclass(frozen=True)
class LumiNetConfig:
    """Settings of LumiNet: the authors' for resnet32x4 that teaches resnet8x4 on CIFAR-100."""

    alpha: float = 33.0
    """Square root of the term's weight (authors; theirs go up to 75 for other pairs of networks)."""
    temperature: float = 4.0
    """Temperature T that softens both distributions (authors; 8 for most other pairs)."""
    ce_weight: float = 2.0
    """Weight of cross-entropy (authors; 1 for some other pairs)."""
    warm_up_epochs: int = 20
    """Epochs over which the term's weight grows, epoch by epoch (authors; 1 for ImageNet)."""

    def __post_init__(self) -> None:
        for name in ("alpha", "ce_weight", "warm_up_epochs"):
            require(getattr(self, name) >= 0, f"luminet.{name}", getattr(self, name), "give 0 or more")
        require(self.temperature > 0, "luminet.temperature", self.temperature, "give a temperature above 0")


class LumiNet(Method):
    r"""Logit distillation of logits that are standardised over the batch, class by class.

    .. math:: w \, \alpha^2 \, \mathrm{KL}\big(\mathrm{softmax}(h_t / T) \,\Vert\, \mathrm{softmax}(h_s / T)\big)

    as a mean over the batch, beside ``ce_weight`` times cross-entropy. h, [B, C], is the ``perception`` of a network's
    logits: each class standardised over the batch. In epoch e, from 1, w = min(1, e / warm_up_epochs). T^2 is no
    factor.

    Source: Hossain, Elahi, Ramasinghe, Cheraghian, Rahman, Mohammed and Rahman, arXiv 2310.03669, "LumiNet:
    perception-driven knowledge distillation via statistical logit calibration", in the form of the authors' code.
    """

    def __init__(self, config: LumiNetConfig, num_samples: int) -> None:
        super().__init__()
        self.config = config
        self.ce_weight = config.ce_weight
        self.warm_up = WarmUp(config.warm_up_epochs, num_samples, first=1)

    @classmethod
    def build(cls, config: LumiNetConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config, len(numbered(labels_N, "luminet")))

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        h_s, h_t = perception(student.logits), perception(teacher.logits.detach())
        temperature = self.config.temperature
        divergence = distillation_loss(h_s, h_t, temperature) / temperature**2
        loss = self.config.alpha**2 * self.warm_up(len(batch.target)) * divergence
        return {"loss": loss, "luminet": loss.detach()}
