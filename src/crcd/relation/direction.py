"""One direction of a contrast: the student's relations or samples against the teacher's, or the mirrored one."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from crcd import distributed
from crcd.relation.config import RelationConfig
from crcd.relation.contrast import Contrast, relation_contrast, sample_contrast
from crcd.relation.negatives import Negatives
from crcd.relation.objectives import NCE, InfoNCE, Objective
from crcd.relation.relations import DifferenceNetwork, MLPNetwork


class Direction(nn.Module):
    """One direction of a contrast, and for NCE its constant Z, frozen on the first batch that it is trained on.

    Z = N * mean over the pairs and keys of exp(cos / tau).

    Args:
        objective: of the contrast.
        temperature: tau.
        num_samples: N, the number of training samples.
        gathered: each of several processes contrasts the whole batch, and not its own share.
    """

    log_z: Tensor | None

    def __init__(
        self, objective: Literal["infonce", "nce"], temperature: float, num_samples: int, *, gathered: bool = True
    ) -> None:
        super().__init__()
        self.objective = objective
        self.temperature = temperature
        self.num_samples = num_samples
        self.gathered = gathered
        self.register_buffer("log_z", None, persistent=False)  # it goes where the module goes

    def contrasted(self, query: Tensor, contrast: Callable[[Objective], Contrast]) -> Contrast:
        """What a contrast of queries gives with the objective of the settings."""

        def found(objective: Objective) -> Contrast:
            own = contrast(objective)
            if self.gathered:
                return own
            loss, bound = distributed.mean(torch.stack(own))
            return Contrast(loss, bound.detach())

        if self.objective == "infonce":
            return found(InfoNCE(self.temperature))
        if self.log_z is not None and self.log_z.device != query.device:  # a loaded one is where it was read
            self.log_z = self.log_z.to(query.device)
        log_z = self.log_z
        if log_z is None:
            with torch.no_grad():
                mean = found(_SumOfExponentials(self.temperature)).mi_bound
            if mean == 0:  # the batch has no usable negative
                return Contrast(query.sum() * 0, torch.zeros_like(mean))
            log_z = mean.log() + math.log(self.num_samples)
            if self.training:
                self.log_z = log_z
        return found(NCE(self.temperature, log_z, self.num_samples))

    def get_extra_state(self) -> Tensor:
        """Log Z, empty before it is known: formats that hold tensors alone keep it, too."""
        return torch.empty(0) if self.log_z is None else self.log_z

    def set_extra_state(self, state: Tensor) -> None:
        """Take log Z back."""
        self.log_z = state if state.numel() else None


class Relations(Direction):
    """A direction of the relation contrast, with its relation network."""

    def __init__(self, config: RelationConfig, dim: int, num_samples: int) -> None:
        super().__init__(config.objective, config.temperature, num_samples, gathered=config.anchor_scope == "gathered")
        self.kernel = config.kernel
        self.network = MLPNetwork(dim, config.hidden) if config.relation == "mlp" else DifferenceNetwork()

    def forward(
        self,
        query: Tensor,
        positive: Tensor,
        anchor: Tensor,
        anchor_sample: Tensor,
        weight: Tensor,
        keys: Negatives,
        count: Tensor,
    ) -> Contrast:
        def contrast(objective: Objective) -> Contrast:
            return relation_contrast(
                self.network(),
                query,
                positive,
                anchor,
                keys,
                objective,
                weight_BA=weight,
                anchor_sample_A=anchor_sample,
                count_BA=count,
                kernel=self.kernel,
            )

        return self.contrasted(query, contrast)


class Samples(Direction):
    """A direction of the contrast of samples themselves."""

    def forward(self, query: Tensor, positive: Tensor, weight: Tensor, keys: Negatives, count: Tensor) -> Contrast:
        def contrast(objective: Objective) -> Contrast:
            return sample_contrast(query, positive, keys, objective, weight_B=weight, count_B=count)

        return self.contrasted(query, contrast)


@dataclass(frozen=True)
class _SumOfExponentials(InfoNCE):
    """Reports the mean of exp(cos / tau) over a pair's K + 1 keys in place of a bound."""

    def bound(self, loss_BA: Tensor, positive_cosine_BA: Tensor, count_BA: Tensor) -> Tensor:
        """exp(L + cos_0 / tau) / (K + 1)."""
        return torch.exp(loss_BA + positive_cosine_BA / self.temperature) / (count_BA + 1)
