from dataclasses import replace
from pathlib import Path

from crcd.report.runs import find_runs
from crcd.report.sections.repeat import _commands, _teacher


def test_where_the_teacher_came_from(runs):
    (run,) = find_runs(runs[:1])
    for changes, how, told in (
        ({"teacher_weights": Path("/t.pt")}, "weights of /t.pt", "crcd distill --recipe digits "),
        ({"teacher_weights": None, "teacher_pretrained": True}, "its library's own weights", "crcd distill "),
        ({"teacher_weights": None}, "given in Python", "# the teacher was given in Python, "),
    ):
        own = replace(run, config=replace(run.config, **changes))
        (command,) = _commands([own])
        assert command.startswith(told)
        assert f", {how}; SHA-256" in _teacher(own)
