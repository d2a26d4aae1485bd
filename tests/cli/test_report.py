"""crcd report, and the report that crcd distill writes at its end."""

import json

import pytest

from crcd.cli import report

OUT = "the report is {}/report.html\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory, weights, quick):
    """A run without a report."""
    from crcd.cli import main

    path = tmp_path_factory.mktemp("ended") / "run"
    assert main([str(word) for word in ("distill", *quick, "--teacher-weights", weights, "--out", path)]) == 0
    assert not (path / "report.html").exists()
    return path


@pytest.mark.slow
def test_distill_writes_it_and_its_settings_have_no_part_of_it(crcd, tmp_path, weights, quick):
    path = tmp_path / "run"
    words = [word for word in quick if word != "--no-report"]
    answer = crcd("distill", *words, "--teacher-weights", weights, "--out", path)
    assert (answer.status, answer.err) == (0, "")
    assert OUT.format(path) in answer.out
    assert answer.out.endswith(f"all of it is in {path}\n")
    assert "resnet8 taught by kd" in (path / "report.html").read_text(encoding="utf-8")
    assert "report" not in (path / "config.yaml").read_text()
    (path / "report.html").unlink()
    assert "the report is" not in crcd("distill", "--resume", path, "--no-report").out
    assert OUT.format(path) in crcd("distill", "--resume", path).out


def test_a_report_that_fails_is_one_warning_and_the_run_is_whole(crcd, tmp_path, weights, quick, monkeypatch, caplog):
    def fail(*_):
        raise ZeroDivisionError("no\nroom")

    monkeypatch.setattr(report, "write_report", fail)
    path = tmp_path / "run"
    words = [word for word in quick if word != "--no-report"]
    answer = crcd("distill", *words, "--teacher-weights", weights, "--out", path)
    assert answer.status == 0
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.getMessage() == f"the report could not be written (no room); crcd report {path} tries again"
    assert answer.out.endswith(f"all of it is in {path}\n")
    assert json.loads((path / "summary.json").read_text())["learners"].keys() == {"ce", "kd"}


def test_report_says_what_it_does_and_where_it_is(crcd, run, tmp_path):
    answer = crcd("report", run, "--device", "cpu", "--baseline", "kd", "--out", tmp_path / "page.html")
    assert (answer.status, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines == [
        "reading 360 images by 4 networks",
        "measuring latency",
        "drawing the report",
        f"the report is {tmp_path / 'page.html'}",
    ]
    assert "distilled by kd" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not (run / "report.html").exists()


def test_help(crcd):
    answer = crcd("report", "--help")
    assert answer.status == 0
    assert all(flag in answer.out for flag in ("--out", "--baseline", "--data-dir", "--device", "--run-code"))


def test_mistakes(crcd, run, tmp_path):
    for words, error in (
        ([], "crcd report needs the folder of a run"),
        ([tmp_path / "absent"], "there is no ended run here"),
        ([run, "--baseline", "crd"], "--baseline crd is none of the learners of digits: resnet8 to resnet8: ce kd"),
        ([run, "--out", tmp_path / "absent" / "page.html"], "--out is"),
    ):
        answer = crcd("report", *words)
        assert answer.status == 2
        assert answer.err.startswith("crcd: error: ")
        assert error in answer.err
        assert answer.err.count("\n") == 1
