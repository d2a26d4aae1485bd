import math

import pytest

from crcd.report.words import brief, interval, milliseconds, points, short, three, times


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (3.0, "3"), (272186, "272186"), (0.04567, "0.0457"), (9.999, "10"), (-1.5, "-1.5"), (math.nan, "nan")],
)
def test_three_digits(value, text):
    assert three(value) == text


def test_units():
    space = "\N{NO-BREAK SPACE}"
    assert short(272186) == f"272{space}k"
    assert short(1107016, "B") == f"1.11{space}MB"
    assert short(950) == "950"
    assert milliseconds(0.0012345) == f"1.23{space}ms"


def test_differences_and_ratios():
    assert points(1.005e-3) == "+0.00"
    assert points(-0.001) == "+0.00"
    assert points(-2.5) == "\N{MINUS SIGN}2.50"
    assert interval(-0.001, 2.5) == "\N{MINUS SIGN}0.00 to +2.50"
    assert times(3.46) == "3.5\N{MULTIPLICATION SIGN}"
    assert times(12.4) == "12\N{MULTIPLICATION SIGN}"


def test_names_are_cut():
    assert brief(["eighteen letters !"]) == ["eighteen letters !"]
    assert brief(["nineteen letters !!"]) == ["nineteen letters\N{HORIZONTAL ELLIPSIS}"]
    assert len(brief(["x" * 99])[0]) == 18


def test_brief_names_stay_apart():
    names = ["cat", "golden retriever puppy", "golden retriever dog"]
    assert brief(names) == ["cat", *(f"golden retriever\N{HORIZONTAL ELLIPSIS}{number}" for number in (1, 2))]
    assert max(map(len, brief(names))) == 18
