"""Inputs on which kernels are compared."""

import torch
from torch import Tensor
from torch.nn import functional as F

from crcd.relation import NCE, InfoNCE, Negatives
from crcd.relation.relations import MLPNetwork


def case(
    b: int,
    a: int,
    k: int,
    d: int,
    relation: str,
    objective: str,
    per_sample: bool,
    *,
    hidden: int = 6,
    spread: float = 1.0,
    seed: int = 0,
) -> dict[str, object]:
    """Inputs of one call, with masks of every kind; elements lie about ``spread`` around a common direction."""
    g = torch.Generator().manual_seed(seed)
    common = torch.randn(d, generator=g, dtype=torch.float64)

    def rows(n: int) -> Tensor:
        noise = torch.randn(n, d, generator=g, dtype=torch.float64)
        return F.normalize(noise if spread == 1.0 else common + spread * noise, dim=1)

    n = 20 if per_sample else k
    index = torch.randint(n, (b, k), generator=g) if per_sample else None
    torch.manual_seed(seed)
    return {
        "query": rows(b),
        "positive": rows(b),
        "anchor": rows(a),
        "negatives": Negatives(rows(n), index, torch.rand(b, k, generator=g) < 0.3, torch.arange(n)),
        "objective": InfoNCE(0.1) if objective == "infonce" else NCE(0.1, torch.tensor(4.0, dtype=torch.float64), 50),
        "network": MLPNetwork(d, hidden).double() if relation == "mlp" else None,
        "weight": torch.rand(b, a, generator=g, dtype=torch.float64),
        "anchor_sample": torch.randint(8, (a,), generator=g),
    }
