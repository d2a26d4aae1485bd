import logging
import sys
from dataclasses import replace

import pytest

from crcd.compare.cell import Cell
from crcd.compare.ledger import Ledger
from crcd.errors import CrcdError
from crcd.train.config import DistillConfig


def test_entries_come_back_as_the_cells_they_are(tmp_path, entry):
    kept = Ledger(tmp_path / "new" / "ledger.jsonl")
    kept.append([entry("kd", 0, 90.0, epochs=3), entry("crcd+kd@kd.weight=2", 0, 91.0, epochs=3)])
    kept.append([entry("ce", 1, 80.0, epochs=3)])
    read = Ledger(kept.path)
    assert read.entries == kept.entries
    assert set(read.measured()) == {
        Cell.of(DistillConfig(epochs=3), "kd", None),
        Cell.of(DistillConfig(epochs=3), "crcd+kd@kd.weight=2", None),
        Cell.of(DistillConfig(epochs=3, seed=1), "ce", None),
    }


def test_given_weights_are_part_of_the_cell(entry):
    own = entry("kd", 0, 90.0)
    given = replace(own, teacher={**own.teacher, "given": True})
    assert given.cell == Cell.of(DistillConfig(), "kd", "ab") != own.cell


def test_a_setting_that_came_later_changes_no_cell_and_one_that_went_is_no_cell(entry):
    own = entry("kd", 0, 90.0)
    before = {name: value for name, value in own.settings.items() if name != "nesterov"}
    assert replace(own, settings=before).cell == own.cell
    assert replace(own, settings={**own.settings, "gone": 1}).cell is None


def test_a_method_of_ones_own_is_a_cell_once_the_user_has_named_its_code(entry, tmp_path, monkeypatch):
    (tmp_path / "named_in_a_ledger.py").write_text(
        "from crcd.methods.kd import KD, KDConfig\nclass Own(KD):\n    @classmethod\n"
        "    def build(cls, config: KDConfig, student, teacher, labels_N):\n        return cls(config)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "named_in_a_ledger:Own"
    line = entry("kd", 0, 90.0)
    own = replace(line, method=name, settings={**line.settings, name: line.settings["kd"]})
    assert own.cell is None
    assert own.setup_hash == line.cell.setup
    assert "named_in_a_ledger" not in sys.modules
    config = DistillConfig(methods=(name,))
    assert own.cell == Cell.of(config, name, None) != line.cell
    assert replace(own, settings={**line.settings, name: {"weight": 7.0}}).cell is None


def test_a_line_cut_off_is_left_out_and_written_past(tmp_path, entry, line, caplog):
    path = tmp_path / "ledger.jsonl"
    path.write_text(line(entry("kd", 0, 90.0)) + line(entry("ce", 0, 80.0))[:50])
    with caplog.at_level(logging.WARNING):
        ledger = Ledger(path)
    assert [own.method for own in ledger.entries] == ["kd"]
    assert "ledger.jsonl: line 2 is cut off" in caplog.text
    ledger.append([entry("ce", 0, 81.0)])
    assert [own.result["top1"] for own in Ledger(path).entries] == [90.0, 81.0]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[1]\n", "line 1: no entry"),
        ('{"recipe": "digits"}\n', "line 1: 'setup' is missing or not a str"),
    ],
)
def test_another_file_is_refused(tmp_path, text, named):
    path = tmp_path / "metrics.jsonl"
    path.write_text(text)
    with pytest.raises(CrcdError, match=named):
        Ledger(path)


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"result": {"model": "resnet8", "top1": None}}, "'result.top1' is missing or not a number"),
        ({"teacher": {}}, "'teacher.model' is missing or not a str"),
        ({"run": {}}, "'run.data' is missing or not a str"),
    ],
)
def test_an_entry_needs_what_tables_read(tmp_path, entry, line, part, told):
    path = tmp_path / "ledger.jsonl"
    path.write_text(line(replace(entry("kd", 0, 90.0), **part)))
    with pytest.raises(CrcdError, match=f"line 1: {told}; is this a ledger"):
        Ledger(path)
