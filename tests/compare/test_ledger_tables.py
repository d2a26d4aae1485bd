"""The tables of results/README.md that set two methods, two setups or probes beside one another."""

import json
from dataclasses import replace

import pytest

import ledger_tables
from crcd.compare.ledger import Ledger

GAINS = {"crd+kd": 1.0, "crcd+kd": 2.0, "wttm": 4.0}
PROBES = {"linear": 0.0, "sgd": -1.0, "knn": -2.0}


@pytest.fixture
def ledger(tmp_path, monkeypatch, entry):
    monkeypatch.setattr(ledger_tables, "LEDGER", tmp_path / "ledger.jsonl")

    def write(**gains_of):
        entries = [
            replace(entry(method, seed, 90.0 + seed + gain), setup=setup)
            for setup, gains in gains_of.items()
            for method, gain in {"kd": 0.0, **gains}.items()
            for seed in range(2)
        ]
        Ledger(ledger_tables.LEDGER).append(entries)

    return write


def test_ranks_of_two_setups_are_those_of_their_gains(ledger):
    turned = {name: -gain for name, gain in GAINS.items()}
    renamed = {"crcd+kd@crcd.negatives=64": 0.5, "crd+kd@crd.negatives=64": 0.2, "wttm": 0.7, "dkd": 9.0}
    ledger(here=GAINS, turned=turned, renamed=renamed)
    heading, _, first, *_ = ledger_tables.ranks("here", "renamed").splitlines()
    assert heading == "| method | seeds | less kd, here | seeds | less kd, there |"
    assert first == "| wttm | 2 | +4.00 ± 0.00 | 2 | +0.70 ± 0.00 |"
    assert "(Spearman) 1.00, p = 0.00, 3 methods." in ledger_tables.ranks("here", "renamed")
    assert "(Spearman) -1.00, p = 0.00, 3 methods." in ledger_tables.ranks("here", "turned")


def test_ranks_leave_out_what_has_one_seed(ledger, entry):
    ledger(here={**GAINS, "dkd": 3.0}, there=GAINS)
    Ledger(ledger_tables.LEDGER).append([replace(entry("dkd", 0, 80.0), setup="there")])
    assert "dkd" not in ledger_tables.ranks("here", "there")


def test_probes_are_paired_by_run(tmp_path, monkeypatch):
    networks = [
        {"run": run, "name": name, **{kind: {"top1": top1 + more} for kind, more in PROBES.items()}}
        for run, name, top1 in (("a", "kd", 10.0), ("a", "crcd+kd", 12.0), ("b", "kd", 30.0), ("b", "crcd+kd", 33.0))
    ]
    file = {"networks": networks, "train_images": 2000, "test_images": 500, "classes": 200, "commit": "c" * 40}
    (tmp_path / "probes.json").write_text(json.dumps(file))
    monkeypatch.setattr(ledger_tables, "RESULTS", tmp_path)
    _, _, kd, crcd, _, below = ledger_tables.probe("probes.json", "kd").splitlines()
    assert kd == "| kd | 2 | 20.00 ± 14.14 | 19.00 ± 14.14 | 18.00 ± 14.14 |  |  |"
    assert crcd.split(" | ")[-2:] == ["+2.50 ± 0.71", "-3.85 to +8.85 |"]
    assert below == "2,000 images of 200 classes to learn from, 500 to score; commit ccccccc."


def test_a_seed_counts_once_in_the_mean_of_two_jobs(ledger):
    ledger(here={"crcd+kd": 2.0}, there={"crcd+kd": 4.0, "dkd": 1.0}, elsewhere={"crcd+kd": 90.0})
    _, _, *lines = ledger_tables.less("kd", "here + there", None, None).splitlines()
    assert lines == ["| crcd+kd | 2 | 93.50 ± 0.71 | 90.50 ± 0.71 | +3.00 ± 0.00 | +3.00 to +3.00 |"]


def test_a_seed_under_two_teachers_counts_once(ledger, entry):
    ledger(here={"crcd+kd": 2.0})
    second = [
        replace(of, setup="here", teacher={**of.teacher, "weights": "cd"})
        for seed in range(2)
        for of in (entry("kd", seed, 92.0 + seed), entry("crcd+kd", seed, 92.0 + seed + 3 + seed))
    ]
    Ledger(ledger_tables.LEDGER).append(second)
    told = "+2.75 ± 0.35", "-0.43 to +5.93"
    (line,) = ledger_tables.less("kd", "here", None, None).splitlines()[2:]
    assert line == f"| crcd+kd | 2 | 94.25 ± 1.06 | 91.50 ± 0.71 | {told[0]} | {told[1]} |"
    (line,) = ledger_tables.side_by_side("here", "kd", "crcd+kd").splitlines()[2:]
    assert line == f"| crcd+kd | {told[0]} ({told[1]}; 2) |"


def test_of_a_cell_that_was_measured_twice_the_later_line_counts(ledger, entry):
    ledger(here={"crcd+kd": 2.0})
    Ledger(ledger_tables.LEDGER).append([replace(entry("kd", 0, 50.0), setup="here")])
    assert list(ledger_tables.scores_of("here")["kd"].values()) == [50.0, 91.0]


def test_a_baseline_may_be_another_in_each_job(ledger):
    ledger(here={"crcd+kd": 2.0, "dkd": 1.0}, there={"crcd+kd": 4.0, "dkd": 9.0})
    heading, _, *lines = ledger_tables.less("dkd + kd", "here + there", None, "crcd+kd").splitlines()
    assert heading == "| method | seeds | top-1 % | dkd + kd | difference | 95 % interval |"
    assert lines == ["| crcd+kd | 2 | 93.50 ± 0.71 | 91.00 ± 0.71 | +2.50 ± 0.00 | +2.50 to +2.50 |"]


def test_seeds_that_are_not_named_are_left_out(ledger):
    ledger(here={"crcd+kd": 2.0})
    _, _, *lines = ledger_tables.less("kd", "here", "1 5", None).splitlines()
    assert lines == ["| crcd+kd | 1 | 93.00 | 91.00 | +2.00 |  |"]


def test_jobs_side_by_side_have_what_each_has(ledger, monkeypatch):
    monkeypatch.setitem(ledger_tables.JOBS, "short name", "there")
    ledger(here={"crcd+kd@crcd.negatives=64": 2.0}, there={"crcd+kd": 4.0, "dkd": 1.0})
    heading, _, *lines = ledger_tables.side_by_side("here, short name", "kd", "crcd+kd dkd").splitlines()
    assert heading == "| method, less kd | here | short name |"
    assert lines == [
        "| crcd+kd | +2.00 ± 0.00 (+2.00 to +2.00; 2) | +4.00 ± 0.00 (+4.00 to +4.00; 2) |",
        "| dkd |  | +1.00 ± 0.00 (+1.00 to +1.00; 2) |",
    ]


def test_a_teacher_counts_once(ledger, entry):
    ledger(here={"crcd+kd": 2.0})
    other = {"weights": "b" * 64}
    entries = [replace(entry(name, 5, top1), setup="here") for name, top1 in (("kd", 90.0), ("crcd+kd", 95.0))]
    Ledger(ledger_tables.LEDGER).append([replace(each, teacher=each.teacher | other) for each in entries])
    heading, _, *lines = ledger_tables.by_teacher("kd", "here", "crcd+kd").splitlines()
    assert heading == "| method | teachers | top-1 % | kd | difference | 95 % interval |"
    assert lines == ["| crcd+kd | 2 | 93.75 ± 1.77 | 90.25 ± 0.35 | +3.50 ± 2.12 | -15.56 to +22.56 |"]


def test_costs_are_of_one_run(ledger, entry):
    def cell(method, seed, seconds, run):
        of = entry(method, seed, 90.0)
        return replace(of, setup="here", result=of.result | {"seconds": seconds}, run=of.run | {"step_seconds": run})

    cells = [cell("kd", 0, 10.0, 1), cell("crcd+kd", 0, 20.0, 1), cell("kd", 1, 10.0, 2), cell("crcd+kd", 1, 30.0, 2)]
    alone = [cell("kd", 2, 1.0, 3), cell("crcd+kd", 2, 9.0, 4), cell("dkd", 2, None, 3)]
    Ledger(ledger_tables.LEDGER).append([*cells, *alone])
    heading, _, *lines = ledger_tables.costs("here", "kd", "crcd+kd dkd").splitlines()
    assert heading == "| method, over kd | here |"
    assert lines == ["| crcd+kd | 2.50 ± 0.71 (2) |", "| dkd |  |"]


def test_short_names_leave_out_what_all_have_in_common():
    short = ledger_tables.short_names
    assert short(["crcd+kd@crcd.negatives=8", "kd"]) == {"crcd+kd@crcd.negatives=8": "crcd+kd", "kd": "kd"}
    apart = ["crcd@crcd.negatives=8", "crcd@crcd.negatives=9"]
    assert short(apart) == dict(zip(apart, apart, strict=True))
