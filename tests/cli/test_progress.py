import io
import re
import time

import pytest
from rich.console import Console
from rich.table import Table

from crcd.cli.progress import LiveReporter, PlainReporter, make_console, shown

NAMES = ["freeze=[body.stem]", "run[/old]", "own:M: 12 'a' [red]"]
"""Texts in which rich sees markup, an emoji or something to colour."""


def test_filling_the_teachers_cache_is_a_bar_on_a_terminal():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    reporter = LiveReporter(console)
    reporter.begin_filling(views=2, images=10, done=5)
    for _ in range(3):
        reporter.fill(5)
    reporter.end()
    assert re.search(r"teacher .*\d+ images/s .*0:00:00", console.file.getvalue())
    assert reporter._bar.tasks[0].finished


def test_a_step_within_one_tick_of_the_clock_is_shown(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 7.0)
    reporter = LiveReporter(Console(file=io.StringIO(), force_terminal=True, width=100))
    reporter.begin("training kd", [], epochs=1, steps=1, done=0)
    reporter.step(64)
    reporter.end()
    assert reporter._bar.tasks[0].completed == 1


def test_filling_the_teachers_cache_is_a_line_elsewhere():
    console = Console(file=io.StringIO(), width=100)
    PlainReporter(console).begin_filling(views=2, images=10, done=5)
    assert console.file.getvalue() == "asking the teacher: 2 views of 10 images, going on after 5\n"


def test_items_are_shown_by_a_bar_on_a_terminal_and_a_line_elsewhere():
    terminal, file = (Console(file=io.StringIO(), force_terminal=force, width=80) for force in (True, False))
    for console in (terminal, file):
        assert list(shown(iter("abc"), 3, "reading", console)) == ["a", "b", "c"]
    assert re.search(r"reading .*100%", terminal.file.getvalue())
    assert file.file.getvalue() == "reading\n"


@pytest.mark.parametrize("name", NAMES)
def test_text_is_printed_as_it_is(capsys, name):
    console = make_console()
    console.print(name, soft_wrap=True)
    table = Table("header", title=f"title {name}", caption=f"caption {name}")
    table.add_row(f"cell {name}")
    console.print(table)
    out = capsys.readouterr().out
    assert out.startswith(f"{name}\n")
    assert all(f"{place} {name}" in out for place in ("title", "cell", "caption"))


@pytest.mark.parametrize("name", NAMES)
def test_the_titles_of_bars_are_shown_as_they_are(name):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    assert list(shown(iter("abc"), 3, f"reading {name}", console)) == ["a", "b", "c"]
    reporter = LiveReporter(console)
    reporter.begin(f"training {name}", [], epochs=1, steps=1, done=0)
    reporter.end()
    assert all(f"{title} {name}" in console.file.getvalue() for title in ("reading", "training"))
