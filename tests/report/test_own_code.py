"""A report runs no code on the word of what it is about, unless it is told to."""

import json
import shutil
import sys

import pytest
import yaml

from crcd.errors import CrcdError
from crcd.report.networks import Place
from crcd.report.report import write_report

NAME = "code_beside_a_run:Term"
CODE = """
from dataclasses import dataclass
from pathlib import Path
import crcd

Path("ran").touch()

@dataclass(frozen=True)
class Settings:
    pass

class Term(crcd.Method):
    @classmethod
    def build(cls, config: Settings, student, teacher, labels_N):
        return cls()
"""


def _in_settings(run):
    settings = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**settings, "methods": ["ce", f"kd+{NAME}"]}))


def _in_summary(run):
    summary = json.loads((run / "summary.json").read_text())
    summary["learners"][NAME] = summary["learners"].pop("kd")
    (run / "summary.json").write_text(json.dumps(summary))


def _in_recipe(run):
    (run / "recipe.yaml").write_text(yaml.safe_dump({"methods": [NAME]}))
    settings = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**settings, "recipe": str(run / "recipe.yaml")}))


@pytest.fixture
def downloaded(runs, tmp_path, monkeypatch):
    """A run in the working directory, beside code that leaves a file where it is run."""
    shutil.copytree(runs[0], tmp_path / "run")
    (tmp_path / "code_beside_a_run.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "code_beside_a_run", raising=False)
    return tmp_path / "run"


@pytest.mark.parametrize("named", [_in_settings, _in_summary])
def test_methods_of_a_folder_are_not_imported(downloaded, tmp_path, named):
    named(downloaded)
    with pytest.raises(CrcdError, match=rf"run name {NAME}, code that is not run on a file's word: give --run-code"):
        write_report([downloaded], tmp_path / "report.html", place=Place("cpu"))
    assert not (tmp_path / "ran").exists()


def test_those_of_its_recipe_are_not_either(downloaded, tmp_path):
    _in_recipe(downloaded)
    write_report([downloaded], tmp_path / "report.html", place=Place("cpu"))
    assert not (tmp_path / "ran").exists()
    assert "code that is not run on a file&#39;s word" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_they_are_where_the_user_says_so(downloaded, tmp_path):
    _in_settings(downloaded)
    write_report([downloaded], tmp_path / "report.html", place=Place("cpu", run_code=True))
    assert (tmp_path / "ran").exists()
