"""A run has its folder to itself."""

from dataclasses import replace
from pathlib import Path

import pytest

from crcd.errors import CrcdError
from crcd.lock import LOCK, alone
from crcd.train.config import DistillConfig
from crcd.train.distill import distill
from crcd.train.run_folder import run_folder
from crcd.train.scratch import train

REFUSED = "another crcd works in .*run: wait for its end"


def test_runs_that_begin_at_once_choose_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with run_folder(DistillConfig(), "digits", "a") as one, run_folder(DistillConfig(), "digits", "a") as other:
        assert (one.path, other.path) == (Path("runs/digits-a-1"), Path("runs/digits-a-2"))
        one.create(DistillConfig())
    assert list(Path("runs").iterdir()) == [one.path]  # nothing came into the other
    with run_folder(DistillConfig(), "digits", "a") as later:
        assert later.path == other.path


def test_a_run_is_gone_on_with_once_at_a_time(quick, tmp_path):
    config = quick(methods=("ce",), epochs=1, out=tmp_path / "run")
    distill(config)
    again = replace(config, resume=tmp_path / "run")
    with alone(tmp_path / "run"), pytest.raises(CrcdError, match=REFUSED):
        distill(again)
    distill(again)
    assert not (tmp_path / "run" / LOCK).exists()


def test_a_run_begins_once_at_a_time(quick, tmp_path):
    scratch = replace(quick().for_teacher(tmp_path / "run"), epochs=1)
    with run_folder(scratch), pytest.raises(CrcdError, match=REFUSED):
        train(scratch)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).touch()  # of one that was killed before it wrote its settings
    train(scratch)


def test_there_is_no_run_to_go_on_with(quick, tmp_path):
    with pytest.raises(CrcdError, match="there is no run here"):
        distill(quick(resume=tmp_path / "absent"))
    assert not (tmp_path / "absent").exists()
