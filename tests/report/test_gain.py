import math

import pytest
import torch
from scipy.stats import norm

from crcd.compare.statistics import paired
from crcd.report.gain import gain_over_images, gain_over_seeds


def test_over_images_against_the_table_of_counts():
    right = torch.tensor([1, 1, 1, 1, 0, 0, 1, 1, 1, 0], dtype=torch.bool)
    baseline = torch.tensor([0, 0, 0, 0, 1, 0, 1, 1, 1, 0], dtype=torch.bool)
    gain = gain_over_images(right, baseline)
    assert (gain.points, gain.over, gain.n) == (30.0, "images", 10)
    cells = [3.5, 4.5, 1.5, 2.5]  # both right, one, other, none; half an image more in each
    total = sum(cells)
    difference = cells[1] / total - cells[2] / total
    error = math.sqrt((cells[1] / total + cells[2] / total - difference**2) / total)
    assert gain.low == pytest.approx(100 * (difference - norm.ppf(0.975) * error))
    assert gain.high == pytest.approx(100 * (difference + norm.ppf(0.975) * error))


def test_two_networks_that_differ_nowhere():
    right = torch.tensor([True, False, True])
    gain = gain_over_images(right, right)
    assert gain.points == 0
    assert gain.low < 0 < gain.high


def test_the_interval_holds_the_truth_as_often_as_it_says():
    torch.manual_seed(0)
    held = 0
    for _ in range(400):
        draw = torch.rand(120)
        gain = gain_over_images(draw < 0.3, (draw > 0.2) & (draw < 0.4))  # 20 % one alone, 10 % other alone
        held += gain.low <= 10 <= gain.high
    assert 0.92 <= held / 400 <= 0.98


def test_over_seeds_it_is_that_of_the_comparison():
    difference = paired({0: 3.0, 1: 5.0, 2: 4.5}, {0: 2.0, 1: 3.0, 2: 3.5})
    gain = gain_over_seeds(difference)
    assert (gain.points, gain.low, gain.high) == (difference.mean, difference.low, difference.high)
    assert (gain.over, gain.n) == ("seeds", 3)
