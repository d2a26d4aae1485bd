"""Inputs on which kernels are compared, and what they make of them."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from crcd.relation import NCE, Difference, InfoNCE, Negatives, relation_contrast
from crcd.relation.kernels import native
from crcd.relation.relations import MLPNetwork

needs_compiler = pytest.mark.skipif(not native.available(), reason="native.c cannot be compiled: see the log")
NATIVE = pytest.param("native", marks=needs_compiler)


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


def run(inputs: dict[str, object], kernel: str, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Loss, bound and all gradients."""
    query = inputs["query"].to(dtype).clone().requires_grad_()
    negatives = inputs["negatives"]
    negatives = Negatives(negatives.rows.to(dtype), negatives.index_BK, negatives.excluded_BK, negatives.sample)
    network = inputs["network"]
    if network is not None:
        network.zero_grad()
    contrast = relation_contrast(
        Difference() if network is None else network(),
        query,
        inputs["positive"].to(dtype),
        inputs["anchor"].to(dtype),
        negatives,
        inputs["objective"],
        weight_BA=inputs["weight"].to(dtype),
        anchor_sample_A=inputs["anchor_sample"],
        kernel=kernel,
    )
    contrast.loss.backward()
    parameters = [] if network is None else [p.grad.clone() for p in network.parameters()]
    return [contrast.loss.detach(), contrast.mi_bound, query.grad, *parameters]
