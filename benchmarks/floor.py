"""The least time in which a machine could do what the loss must: arithmetic over the rates of its units.

| | difference, shared | difference, own | mlp |
|---|---|---|---|
| flops | 2 K D (2 B + A) | 2 D (2 B K + A R) | 6 A R D^2 + 6 B A K D + 4 R D^2 |
| exponentials | B A K | B A K | B A K |
| bytes | 4 K D | 4 B K D | 4 K D (own: 4 B K D) |

Difference: s.t, W t (gradient) and a.t, the latter once for each of the R rows that occur: K when shared, min(B K, N)
when own. mlp: W ReLU(..), q.r and V t, forward and backward, for matrices D x D. NCE's logarithm can be taken of
products of several terms, so it is not counted.

The CPU does all with the same units, so floor = flops / rate + exponentials / rate, with the rates that ``torch.mm``
and ``torch.exp`` reach here. A GPU's units run side by side: floor = max(flops / rate, exponentials / rate, bytes /
bandwidth), for the GPUs whose rates stand in ``GPU_RATES``.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from forms import Form, Size

GPU_RATES = {"H100": (60e12, 3.6e12, 3.0e12), "H200": (60e12, 3.6e12, 4.3e12)}
"""By a part of the name: float32 flops, exponentials (16 a clock and multiprocessor), bytes; a second."""


@dataclass(frozen=True)
class Rates:
    """What a machine does a second; ``bytes`` None where it is not counted."""

    flops: float
    exponentials: float
    bytes: float | None

    @classmethod
    def of(cls, device: torch.device) -> "Rates | None":
        """Measured on the CPU, looked up on CUDA; None for a GPU that is not known."""
        if device.type == "cpu":
            square, row = torch.randn(1024, 1024), torch.randn(2**16 * torch.get_num_threads())
            out_square, out_row = torch.empty_like(square), torch.empty_like(row)
            gemm = _best_seconds(lambda: torch.mm(square, square, out=out_square), 5)
            exp = _best_seconds(lambda: torch.exp(row, out=out_row), 200)
            return cls(2 * 1024**3 / gemm, len(row) / exp, None)
        name = torch.cuda.get_device_name(device)
        return next((cls(*rates) for part, rates in GPU_RATES.items() if part in name), None)


def _best_seconds(call: Callable[[], object], calls: int) -> float:
    """Seconds of one call: the fastest of five rows of them."""
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        best = min(best, (time.perf_counter() - begin) / calls)
    return best


def floor_ms(form: Form, size: Size, rates: Rates | None) -> float | None:
    """Milliseconds; None for plain CRD, whose loss is another one, and where no rates are known."""
    if rates is None or form.name == "CRD":
        return None
    b, a, k, d = size.B, size.A, size.K, size.D
    read = k if form.shared else b * k
    rows = min(read, size.N)
    if form.relation == "mlp":
        flops = 6 * a * rows * d * d + 6 * b * a * k * d + 4 * rows * d * d
    else:
        flops = 2 * d * (2 * b * k + a * rows)
    arithmetic, exponentials = flops / rates.flops, b * a * k / rates.exponentials
    if rates.bytes is None:
        return 1e3 * (arithmetic + exponentials)
    return 1e3 * max(arithmetic, exponentials, 4 * d * read / rates.bytes)
