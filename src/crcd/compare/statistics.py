"""Means, spreads and paired differences of a few runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from scipy.stats import t

CONFIDENCE = 0.95
Pair = tuple[int, str]
"""Seed of a student, and its teacher."""


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1 in its denominator; NaN for one value) of n values."""

    mean: float
    std: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.2f}" if self.n == 1 else f"{self.mean:.2f} ± {self.std:.2f}"


@dataclass(frozen=True)
class Difference(Spread):
    """Spread of n paired differences, and the t interval of their mean, mean -+ t_{0.975, n-1} std / sqrt(n)."""

    low: float
    high: float

    def __str__(self) -> str:
        mean = f"{round(self.mean, 2) + 0.0:+.2f}"
        return mean if self.n == 1 else f"{mean} ± {self.std:.2f}"

    @property
    def interval(self) -> str:
        """``LOW to HIGH``; empty for one pair. A bound of -0.00 is a little below zero: the interval holds it."""
        return "" if self.n == 1 else f"{self.low:+.2f} to {self.high:+.2f}"


def spread(values: Sequence[float]) -> Spread:
    """Spread of at least one value."""
    return Spread(mean(values), stdev(values) if len(values) > 1 else math.nan, len(values))


def spread_over_seeds(values: Mapping[Pair, float]) -> Spread:
    """Spread over seeds, each with its mean over teachers: a seed counts once, since its runs share their luck."""
    return spread(list(_by_seed(values).values()))


def paired(values: Mapping[Any, float], baseline: Mapping[Any, float]) -> Difference | None:
    """Differences to the baseline over the keys that both have; None if there are none."""
    return _difference([value - baseline[key] for key, value in values.items() if key in baseline])


def paired_over_seeds(values: Mapping[Pair, float], baseline: Mapping[Pair, float]) -> Difference | None:
    """Differences to the baseline over the seeds and teachers that both have; of a seed, which counts once, their mean.

    None if there are none.
    """
    gains = {pair: value - baseline[pair] for pair, value in values.items() if pair in baseline}
    return _difference(list(_by_seed(gains).values()))


def _by_seed(values: Mapping[Pair, float]) -> dict[int, float]:
    found: dict[int, list[float]] = {}
    for (seed, _), value in values.items():
        found.setdefault(seed, []).append(value)
    return {seed: mean(own) for seed, own in found.items()}


def _difference(gains: Sequence[float]) -> Difference | None:
    if not gains:
        return None
    own = spread(gains)
    half = math.nan if own.n == 1 else float(t.ppf((1 + CONFIDENCE) / 2, own.n - 1)) * own.std / math.sqrt(own.n)
    return Difference(own.mean, own.std, own.n, own.mean - half, own.mean + half)
