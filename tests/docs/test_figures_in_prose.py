"""What pages say in words of the measured differences stands in the tables that are made from the ledger."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIFFERENCE = re.compile(r"[+-]?(\d+\.\d\d)\s±\s(\d+\.\d\d)")
INTERVAL = re.compile(r"([+-]\d+\.\d\d)\sto\s([+-]\d+\.\d\d)")
TABLES = re.compile(r"<!-- ([^\n]+): begin -->\n.*?<!-- end -->", re.DOTALL)


@pytest.fixture(scope="module")
def tables():
    return "\n".join(match[0] for match in TABLES.finditer((ROOT / "results/README.md").read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", ["README.md", "docs/worth.md"])
def test_every_figure_of_a_page_is_in_the_tables(page, tables):
    prose = TABLES.sub("", (ROOT / page).read_text(encoding="utf-8"))
    differences, intervals = DIFFERENCE.findall(prose), INTERVAL.findall(prose)
    known = INTERVAL.findall(tables)
    known += [(_turned(high), _turned(low)) for low, high in known]
    assert intervals
    assert set(differences) <= set(DIFFERENCE.findall(tables))
    assert set(intervals) <= set(known)


def _turned(bound: str) -> str:
    return {"+": "-", "-": "+"}[bound[0]] + bound[1:]
