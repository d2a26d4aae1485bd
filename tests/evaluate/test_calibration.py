import math

import pytest
import torch

from crcd.evaluate.calibration import BINS, expected_calibration_error


def slow(logits, labels):
    """Bin by bin and image by image, in Python's floats."""
    total = 0.0
    for m in range(1, BINS + 1):
        right, sure, count = 0, 0.0, 0
        for row, label in zip(logits.double().tolist(), labels.tolist(), strict=True):
            scale = sum(math.exp(value) for value in row)
            confidence = max(math.exp(value) / scale for value in row)
            if (m - 1) / BINS < confidence <= m / BINS:
                right, sure, count = right + (row.index(max(row)) == label), sure + confidence, count + 1
        if count:
            total += count / len(labels) * abs(right / count - sure / count)
    return 100 * total


@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
def test_as_image_by_image(spread):
    generator = torch.Generator().manual_seed(0)
    logits = spread * torch.randn(300, 7, generator=generator)
    labels = torch.where(torch.rand(300, generator=generator) < 0.5, logits.argmax(1), 0)
    assert expected_calibration_error(logits, labels) == pytest.approx(slow(logits, labels), abs=1e-10)


def test_of_one_image_it_is_the_lack_of_confidence():
    logits = torch.tensor([[math.log(0.7), math.log(0.3)]], dtype=torch.float64)
    assert expected_calibration_error(logits, torch.tensor([0])) == pytest.approx(30)
    assert expected_calibration_error(logits, torch.tensor([1])) == pytest.approx(70)


def test_errors_of_both_signs_in_one_bin_cancel():
    logits = torch.tensor([[math.log(3), 0.0]]).repeat(4, 1)
    assert expected_calibration_error(logits, torch.tensor([0, 0, 0, 1])) == pytest.approx(0, abs=1e-5)


def test_a_network_that_is_certain_falls_into_the_last_bin():
    logits = torch.tensor([[1000.0, 0.0], [0.0, 1000.0]])
    assert expected_calibration_error(logits, torch.tensor([0, 0])) == 50.0
