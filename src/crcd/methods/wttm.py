"""Weighted transformed teacher matching."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor
from torch.nn import functional as F

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.method import Method
from crcd.relation.view import View


def wttm_loss(student_logits_BC: Tensor, teacher_logits_BC: Tensor, exponent: float) -> Tensor:
    """Batch mean of U * KL(r || softmax(z_s)) in nats, r = p_t^gamma / U with U the sum of p_t^gamma over classes.

    Args:
        student_logits_BC: z_s, [B, C].
        teacher_logits_BC: z_t, [B, C], with p_t = softmax(z_t).
        exponent: gamma, below 1 to flatten the teacher's probabilities.
    """
    log_p_s = F.log_softmax(student_logits_BC, dim=1)
    log_powers = exponent * F.log_softmax(teacher_logits_BC, dim=1)
    log_u = log_powers.logsumexp(dim=1, keepdim=True)
    return (log_powers.exp() * (log_powers - log_u - log_p_s)).sum(dim=1).mean()


@dataclass(frozen=True)
class WTTMConfig:
    """Settings of weighted transformed teacher matching."""

    weight: float = 4.0
    """Weight beside cross-entropy of weight 1: the authors' example (beside CRD); they choose it for each pair."""
    exponent: float = 0.2
    """Power gamma of the teacher's probabilities, 1 / gamma is its temperature (of the same example)."""

    def __post_init__(self) -> None:
        require(self.weight >= 0, "wttm.weight", self.weight, "give a weight of 0 or more")
        require(self.exponent > 0, "wttm.exponent", self.exponent, "give an exponent above 0")


class WTTM(Method):
    r"""Only the teacher is softened, and samples it is unsure of weigh more.

    .. math:: \mathit{weight} \; \frac{1}{B} \sum_b U_b \, \mathrm{KL}\big(r_b \,\Vert\, \mathrm{softmax}(z^s_b)\big)

    Of p_t = softmax(z_t), [B, C], r is p_t^gamma over its sum U of the sample; with gamma below 1, U grows from 1 for
    a sure teacher to C^(1 - gamma) for one that knows nothing. The student has no temperature, nor does T^2 multiply
    the loss.

    Source: Zheng and Yang, ICLR 2024, arXiv 2402.11148.
    """

    def __init__(self, config: WTTMConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def build(cls, config: WTTMConfig, student: View, teacher: View, labels_N: Tensor | None) -> Self:
        return cls(config)

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        loss = self.config.weight * wttm_loss(student.logits, teacher.logits.detach(), self.config.exponent)
        return {"loss": loss, "wttm": loss.detach()}
