"""How much better one learner is than another, and how sure that is."""

import math
from dataclasses import dataclass
from typing import Literal

from scipy.stats import norm
from torch import Tensor

from crcd.compare.statistics import CONFIDENCE, Difference


@dataclass(frozen=True)
class Gain:
    """A difference of two accuracies, points, with its 95 % interval.

    Attributes:
        points: the difference.
        low: end of the interval; NaN where there is none.
        high: likewise.
        over: what the interval is over: ``"seeds"`` or ``"images"``; None where there is none.
        n: number of them.
    """

    points: float
    low: float = math.nan
    high: float = math.nan
    over: Literal["seeds", "images"] | None = None
    n: int = 1


def gain_over_seeds(difference: Difference) -> Gain:
    """The t interval of the mean of paired differences of two runs or more."""
    return Gain(difference.mean, difference.low, difference.high, "seeds", difference.n)


def gain_over_images(right_N: Tensor, baseline_right_N: Tensor) -> Gain:
    """100 (b - c)/N of two networks on the same N images: b that the one alone has right, c that the other alone has.

    The interval is Wald's for matched pairs after half an image is added to each cell of the 2 x 2 table:
    d -+ z sqrt(b' + c' - (b' - c')^2 / N') / N' with d = (b' - c')/N', b' = b + 1/2, c' = c + 1/2, N' = N + 2. It is
    about these two networks on images such as these; that another seed gives another network is not in it.
    Source: Agresti and Min, Simple improved confidence intervals for comparing matched proportions, Statistics in
    Medicine 24, 2005.

    Args:
        right_N: whether the one network has each image right, bool.
        baseline_right_N: whether the other has.
    """
    n = len(right_N)
    b, c = int((right_N & ~baseline_right_N).sum()), int((baseline_right_N & ~right_N).sum())
    centre = (b - c) / (n + 2)
    half = float(norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt((b + c + 1) - (b - c) ** 2 / (n + 2)) / (n + 2)
    return Gain(100 * (b - c) / n, 100 * (centre - half), 100 * (centre + half), "images", n)
