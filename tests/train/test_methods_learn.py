"""Every method on the digits: its loss is finite and falls."""

import json
from dataclasses import replace

import pytest

from crcd.cli import main
from crcd.compare.ledger import Ledger
from crcd.config_file import to_plain
from crcd.methods import METHODS
from crcd.recipes import with_recipe
from crcd.train.config import DistillConfig

pytestmark = pytest.mark.slow

METHODS_AND_SUMS = ["ce", *METHODS, "crd+kd", "crcd+kd", "fsp+kd"]
SMALL = {
    "fsp": {"first_stage_epochs": 1},
    "crcd": {"negatives": 32},
    "ft": {"first_stage_epochs": 1},
    "ab": {"first_stage_epochs": 1},
    "dkd": {"warm_up_epochs": 0},
    "reviewkd": {"warm_up_epochs": 0},
    "luminet": {"warm_up_epochs": 0},
}


def test_every_method_learns_and_stands_in_one_table(tmp_path, monkeypatch):
    """No warm-up of weights and no queue that still fills, which would let losses rise."""
    config = with_recipe(DistillConfig(), "digits")
    settings = {
        name: to_plain(replace(getattr(config, name), **small)) for name, small in SMALL.items() if name in METHODS
    }
    recipe = tmp_path / "small.yaml"
    recipe.write_text(json.dumps({"base": "digits", "epochs": 6, "teacher_epochs": 4, **settings}))
    words = ["compare", str(recipe), "--methods", *METHODS_AND_SUMS, "--seeds", "1", "--device", "cpu"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    entries = {entry.method: entry for entry in Ledger(tmp_path / "out" / "ledger.jsonl").entries}
    assert list(entries) == METHODS_AND_SUMS
    table = (tmp_path / "out" / "table.md").read_text()
    for name in entries:
        assert f"| {name} (resnet8) | 1 |" in table
    (metrics,) = tmp_path.glob("out/small-*/metrics.jsonl")
    records = [json.loads(line) for line in metrics.read_text().splitlines()]
    for name in METHODS_AND_SUMS:
        first, *_, last = (record for record in records if record["learner"] == name)
        assert last["ce"] < first["ce"], name
        if not name.startswith("crd"):  # its bank begins at random: what is to be told apart gets more alike
            assert last["loss"] < first["loss"], name
