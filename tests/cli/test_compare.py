"""crcd compare as people call it."""

import csv
import json
import os
import re
import signal

import pytest

from crcd.cli.compare import plan
from crcd.errors import CrcdError
from processes import until

QUICK = (
    *("--device", "cpu", "--image-size", "8", "--student-images", "100", "--batch-size", "32"),
    *("--epochs", "1", "--teacher", "resnet8"),
)


def test_a_comparison_and_its_tables(crcd, tmp_path):
    out = tmp_path / "out"
    words = ("compare", "digits", *QUICK, "--methods", "kd", "ce", "--seeds", "2", "--out", out)
    answer = crcd(*words)
    assert answer.status == 0, answer.err
    assert "1 of 2: digits" in answer.out
    assert "less kd" in answer.out
    assert answer.out.endswith(f"the tables are in {out}/table.md, .tex and .csv\n")
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert [(row["method"], row["seeds"]) for row in rows] == [("kd", "2"), ("ce", "2")]
    assert "| ce (resnet8) | 2 |" in (out / "table.md").read_text()
    assert r"\toprule" in (out / "table.tex").read_text()

    again = crcd(*words)
    assert again.status == 0
    assert "training" not in again.out
    drawn = crcd("compare", "--ledger", out / "ledger.jsonl")
    assert drawn.status == 0
    assert "ce (resnet8)" in drawn.out

    (tmp_path / "empty.jsonl").touch()
    assert "holds no measured cell" in crcd("compare", "--ledger", tmp_path / "empty.jsonl").err
    more = crcd(*words, "--draw", "--seeds", "3", "--baseline", "ce")
    assert more.status == 2
    assert "less ce" in more.out
    assert "2 of 6 cells are not in" in more.err


def test_options_that_make_one_recipe_that_of_another_keep_its_baseline(tmp_path):
    for name, more in (("a", "kd: {temperature: 2}"), ("b", "epochs: 3")):
        (tmp_path / f"{name}.yaml").write_text(f"base: digits\nmethods: [kd, ce]\n{more}\n")
    recipes = [str(tmp_path / name) for name in ("a.yaml", "b.yaml")]
    asked = plan([*recipes, "--kd.temperature", "4", "--out", str(tmp_path / "out")])
    assert asked.baselines == {"a": "kd@kd.temperature=4.0", "b": "kd"}
    assert [setup.methods[0] for setup in asked.comparisons[0].setups] == list(asked.baselines.values())


def test_a_queue_is_several_comparisons(crcd, tmp_path):
    queue = tmp_path / "queue.yaml"
    queue.write_text("queue:\n  - digits --methods ce --seeds 2\n  - digits --methods ce kd --seeds 1 --lr 0.1\n")
    answer = crcd("compare", queue, *QUICK, "--out", tmp_path / "out")
    assert answer.status == 0, answer.err
    cells = [json.loads(line) for line in (tmp_path / "out" / "ledger.jsonl").read_text().splitlines()]
    assert [(cell["method"], cell["seed"], cell["settings"]["lr"]) for cell in cells] == [
        *(("ce", 0, 0.05), ("ce", 1, 0.05), ("ce", 0, 0.1), ("kd", 0, 0.1))
    ]
    assert "Accuracy after the last epoch" in answer.out
    assert "training" not in crcd("compare", queue, *QUICK, "--out", tmp_path / "out").out
    queue.write_text("queue: digits\n")
    assert "'queue' is a list of what follows crcd compare" in crcd("compare", queue).err
    queue.write_text("queue: [--seeds 3]\n")
    assert "a line of a queue begins with a recipe, not with --seeds" in crcd("compare", queue).err


@pytest.mark.parametrize(
    ("options", "flag"),
    [("--draw", "draw"), ("--baseline ce", "baseline"), ("--ledger l", "ledger"), ("--out o", "out")],
)
def test_lines_of_a_queue_share_what_is_one_for_all(tmp_path, options, flag):
    queue = tmp_path / "queue.yaml"
    queue.write_text(json.dumps({"queue": ["digits", f"digits --lr 0.1 {options}"]}))
    told = f"line 2 of 'queue' has another --{flag} than line 1: give it once, crcd compare {queue} --{flag} ..."
    with pytest.raises(CrcdError, match=re.escape(told)):
        plan([str(queue)])
    assert len(plan([str(queue), *options.split()]).comparisons) == 2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "digits --methods 'ce",
            "line 2 of 'queue' can't be split into words (No closing quotation): digits --methods 'ce",
        ),
        ("digits --methods ce\\", "line 2 of 'queue' can't be split into words (No escaped character)"),
        ("", "line 2 of 'queue' is empty: write what follows crcd compare, or take it out"),
    ],
)
def test_a_faulty_line_of_a_queue_is_named(crcd, tmp_path, line, told):
    queue = tmp_path / "queue.yaml"
    queue.write_text(json.dumps({"queue": ["digits", line]}))
    answer = crcd("compare", queue)
    assert (answer.status, answer.err.count("\n")) == (2, 1)
    assert f"crcd: error: {queue}: {told}" in answer.err


def test_failures_are_told_and_the_rest_is_drawn(crcd, tmp_path):
    methods = ("--methods", "ce", "crd", "--crd.no-shared", "--crd.bank-precision", "float16")
    answer = crcd("compare", "digits", *QUICK, *methods, "--seeds", "1", "--out", tmp_path / "out")
    assert answer.status == 2
    assert "ce (resnet8)" in answer.out
    assert "1 of 2 cells failed (crd@crd.shared=false,crd.bank_precision=float16" in answer.err


def test_cells_that_fail_alike_are_told_together(crcd, tmp_path):
    answer = crcd("compare", "cifar100", *QUICK, "--methods", "ce", "kd", "--seeds", "3", "--out", tmp_path / "out")
    assert answer.status == 2
    (error,) = (line for line in answer.err.splitlines() if line.startswith("crcd: error: "))
    assert error.startswith("crcd: error: 6 of 6 cells failed (ce, ")
    assert ", seed 0 and 4 more: data set cifar100 needs --data-dir" in error
    assert error.count("needs --data-dir") == 1


def test_time_budget_ends_well(crcd, tmp_path):
    words = ("compare", "digits", *QUICK, "--seeds", "1", "--out", tmp_path / "out", "--time-budget", "0.01s")
    answer = crcd(*words)
    assert answer.status == 0
    assert "time budget used up" in answer.err
    assert "continue with the same command: crcd compare digits" in answer.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["compare"], "crcd compare needs a recipe"),
        (["compare", "digit"], "unknown recipe 'digit': did you mean digits"),
        (["compare", "--ledger", "absent.jsonl"], "--ledger absent.jsonl: there is no such file"),
        (["compare", "digits", "--recipe", "cifar100"], "recipes come first, crcd compare cifar100"),
        (["compare", "digits", "--resume", "runs/x"], "--resume is not needed"),
        (["compare", "digits", "--seeds", "0"], "--seeds is 0: give 1 or more"),
        (["compare", "digits", "--seed", "2147483646", "--seeds", "3"], "--seeds is 3: from --seed 2147483646 on"),
        (["compare", "digits", "--baseline", "kt"], "unknown method 'kt'"),
        (["compare", "digits", "--baseline", "sp"], "--baseline sp is none of the methods: ce kd itrd crcd+itrd"),
        (["compare", "--ledger", os.devnull], "there is no such file"),
    ],
)
def test_mistakes_are_one_line(crcd, words, named):
    answer = crcd(*words)
    assert answer.status == 2
    assert named in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.slow
def test_killed_and_resumed_it_gives_the_same_tables(tmp_path, start, finish):
    small = ("--device", "cpu", "--image-size", "8", "--student-images", "200", "--batch-size", "16", "--epochs", "3")
    words = ("compare", "digits", *small, "--teacher", "resnet8", "--methods", "ce", "kd", "crcd+kd", "--seeds", "2")

    def files(folder):
        return [(folder / f"table.{kind}").read_text() for kind in ("md", "tex", "csv")]

    answer = finish(start(*words, "--out", tmp_path / "whole"))
    assert answer.status == 0, answer.err
    cut = tmp_path / "cut"
    for place in ("teachers/*", "*-seed0-*", "*-seed1-*"):
        process = start(*words, "--out", cut, "--checkpoint-seconds", "0.05")
        until(lambda place=place: any(cut.glob(f"{place}/checkpoint.pt")), process)
        process.send_signal(signal.SIGKILL)
        assert finish(process).status == -signal.SIGKILL
    answer = finish(start(*words, "--out", cut))
    assert answer.status == 0, answer.err
    assert files(cut) == files(tmp_path / "whole")
    cells = [json.loads(line) for line in (cut / "ledger.jsonl").read_text().splitlines()]
    assert len(cells) == len({(cell["method"], cell["seed"]) for cell in cells}) == 6
