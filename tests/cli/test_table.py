import io
from pathlib import Path

import pytest
from rich.console import Console

from crcd.cli.table import show, show_grid
from crcd.compare.table import Table
from crcd.train.outcome import Outcome

TEACHER = {"model": "resnet32x4", "parameters": 7_433_860, "multiply_adds": 1_083_045_376, "seconds": None}
STUDENT = {"model": "resnet8x4", "parameters": 1_233_540, "multiply_adds": 177_471_808, "seconds": 1234.5}


@pytest.fixture
def outcome():
    teacher = {**TEACHER, "top1": 79.42, "ece": 7.31}
    student = {**STUDENT, "top1": 75.51, "agreement": 80.12, "kl": 0.4217, "ece": 5.55}
    summary = {"data": "cifar100", "scored_images": 10_000, "scored_on": "test", "teacher": teacher}
    return Outcome(Path("run"), {**summary, "learners": {"crcd+wttm": student}})


@pytest.mark.parametrize(("width", "wide"), [(120, True), (100, True), (88, False)])
def test_figures_are_whole_and_as_many_as_there_is_room_for(outcome, width, wide):
    console = Console(file=io.StringIO(), width=width)
    show(outcome, console)
    text = console.file.getvalue()
    assert "…" not in text
    assert all(figure in text for figure in ("7,433,860", "1,083,045,376", "79.42", "75.51", "80.12", "1234.5"))
    assert [figure in text for figure in ("7.31", " 0.422", "5.55")] == [wide] * 3


@pytest.mark.parametrize("width", [30, 60, 120])
def test_a_comparison_keeps_its_numbers_in_one_piece(width):
    console = Console(file=io.StringIO(), width=width)
    name, cells = "crcd+kd@kd.ce_weight=1.0,kd.temperature=2.0", ["97.19 ± 0.53", "+1.94 ± 1.13", "+1.14 to +2.75"]
    show_grid(Table("digits", ["", "top-1 %", "less kd", "95 % interval"], [[name, *cells]]), console)
    text = console.file.getvalue()
    assert "…" not in text
    assert all(cell in text for cell in cells)
    assert "".join(line[:44].split("  ")[0].strip() for line in text.splitlines()).endswith(name)


@pytest.mark.parametrize("width", [30, 60, 120])
def test_a_long_name_of_a_learner_folds_and_all_else_is_whole(outcome, width):
    name = "crcd+kd@crcd.teacher_head=standardised,kd.weight=2.0"
    outcome.summary["learners"] = {name: outcome.summary["learners"]["crcd+wttm"]}
    console = Console(file=io.StringIO(), width=width)
    show(outcome, console)
    text = console.file.getvalue()
    assert "…" not in text
    assert all(cell in text for cell in ("resnet32x4", "resnet8x4", "1,083,045,376", "75.51", "1234.5"))
    row = text.splitlines().index(next(line for line in text.splitlines() if "resnet8x4" in line))
    assert "".join(line[1:33].split(" ")[0] for line in text.splitlines()[row:]).startswith(name)
