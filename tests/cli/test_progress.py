import io
import re

from rich.console import Console

from crcd.cli.progress import LiveReporter, PlainReporter, shown


def test_filling_the_teachers_cache_is_a_bar_on_a_terminal():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    reporter = LiveReporter(console)
    reporter.begin_filling(views=2, images=10, done=5)
    for _ in range(3):
        reporter.fill(5)
    reporter.end()
    assert re.search(r"teacher .*\d+ images/s .*0:00:00", console.file.getvalue())
    assert reporter._bar.tasks[0].finished


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
