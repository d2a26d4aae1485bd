"""The two contrastive objectives, as functions of the cosines between an anchor's relations.

cos_0 belongs to the positive key, cos_1..cos_K to the negatives; the temperature is tau.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

MIN_TEMPERATURE = 0.02  # exp(-2 / tau) must not vanish in float32


def _check_temperature(temperature: float) -> None:
    if temperature < MIN_TEMPERATURE:
        raise ValueError(f"temperature is {temperature}: give {MIN_TEMPERATURE} or more, the field uses 0.04 to 0.5")


@dataclass(frozen=True)
class InfoNCE:
    """L = -log softmax_k(cos_k / tau)[0] (van den Oord et al. 2018); I >= log(K + 1) - L."""

    temperature: float

    def __post_init__(self) -> None:
        _check_temperature(self.temperature)

    def loss(self, positive_cosine: Tensor, negative_cosine: Tensor, usable: Tensor, count: Tensor) -> Tensor:
        """L of each [...], from the cosines of its positive, [...], and its negatives, [..., K]."""
        negative_cosine = negative_cosine.masked_fill(~usable, -torch.inf)
        cosine = torch.cat([positive_cosine[..., None], negative_cosine], dim=-1)
        return -F.log_softmax(cosine / self.temperature, dim=-1)[..., 0]

    def bound(self, loss_BA: Tensor, positive_cosine_BA: Tensor, count_BA: Tensor) -> Tensor:
        """Lower bound of the mutual information of each pair, nats, for ``count_BA`` usable negatives."""
        return torch.log(count_BA + 1) - loss_BA


@dataclass(frozen=True)
class NCE:
    """Noise-contrastive estimation with a frozen constant Z (the form of CRD and of the released CRCD code).

    P_k = exp(cos_k / tau) / Z, q = K / N:  L = -log(P_0 / (P_0 + q)) - sum_k log(q / (P_k + q));
    I >= log K + log(P_0 / (P_0 + q)).

    Attributes:
        temperature: tau.
        log_z: log Z, a scalar tensor.
        num_samples: N, the number of training samples.
    """

    temperature: float
    log_z: Tensor
    num_samples: int

    def __post_init__(self) -> None:
        _check_temperature(self.temperature)

    def loss(self, positive_cosine: Tensor, negative_cosine: Tensor, usable: Tensor, count: Tensor) -> Tensor:
        """L of each [...], from the cosines of its positive, [...], and its negatives, [..., K], ``count`` usable."""
        log_odds = self.log_odds(negative_cosine, count[..., None]).masked_fill(~usable, -torch.inf)
        return F.softplus(-self.log_odds(positive_cosine, count)) + F.softplus(log_odds).sum(dim=-1)

    def log_odds(self, cosine: Tensor, count: Tensor) -> Tensor:
        """log(P / q) = cos / tau - log Z - log(K / N)."""
        return cosine / self.temperature - self.offset(count)

    def offset(self, count: Tensor) -> Tensor:
        """Log Z + log(K / N), for K = ``count`` negatives (at least 1)."""
        return self.log_z + torch.log(count.clamp_min(1)) - math.log(self.num_samples)

    def bound(self, loss_BA: Tensor, positive_cosine_BA: Tensor, count_BA: Tensor) -> Tensor:
        """Lower bound of the mutual information of each pair, nats."""
        log_h_BA = -torch.nn.functional.softplus(-self.log_odds(positive_cosine_BA, count_BA))
        return torch.log(count_BA.clamp_min(1)) + log_h_BA


Objective = InfoNCE | NCE
