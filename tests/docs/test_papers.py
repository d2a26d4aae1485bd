"""What stands beside the code: citation, changelog, templates, figures, links of the pages that are read as files."""

import json
import re
import subprocess
import sys
import tomllib
from itertools import chain

import pytest
import yaml

import crcd
from crcd.train.config import DistillConfig
from pages import PAGES, ROOT, blocks

BESIDE = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "THIRD_PARTY.md", *ROOT.glob("*/README.md")]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_citation():
    known = yaml.safe_load(read("CITATION.cff"))
    assert known["cff-version"] == "1.2.0"
    assert (known["version"], known["license"]) == (crcd.__version__, "MIT")
    (paper,) = known["references"]
    assert paper["title"] == "Complementary Relation Contrastive Distillation"
    assert " ".join(author["family-names"] for author in paper["authors"]) == "Zhu Tang Chen Yu Liu Yang Rong Wang"
    assert paper["identifiers"][0]["value"] == "arXiv:2103.16367"


def test_changelog_begins_with_what_is_not_released():
    assert re.search(r"^## (.+)$", read("CHANGELOG.md"), flags=re.MULTILINE)[1] in ("Unreleased", crcd.__version__)


def test_notes_name_every_package_that_is_installed():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    names = {re.split(r"[<>=\[ ]", requirement)[0] for requirement in wanted} - {"crcd"}
    notes = read("THIRD_PARTY.md")
    assert not [name for name in names if not re.search(rf"\b{re.escape(name)}\b", notes)]


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.name
)
def test_templates_are_forms(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.name == "config.yml":
        assert set(form) <= {"blank_issues_enabled", "contact_links"}
        return
    assert {"name", "description", "body"} <= form.keys()
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert all(part["attributes"]["label"] for part in fields)
    assert len({part["id"] for part in fields}) == len(fields)
    assert all(part["type"] in ("input", "textarea", "checkboxes", "markdown") for part in form["body"])


@pytest.mark.parametrize("page", BESIDE, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        text = text.replace(block.body, "")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"`[^`\n]*`", "", text)):
        if re.match(r"\w+:", target):
            continue
        generated = target.startswith(("methods/", "../methods/"))
        assert generated or (page.parent / target).exists(), target


SCORES = {"top1": 2, "agreement": 2, "kl": 3, "ece": 2}
"""Columns of the quickstart's output, and their digits behind the point."""


def test_the_quickstarts_output_is_in_the_ledger():
    shown = next(block.body for block in blocks(ROOT / "docs" / "quickstart.md") if "agreement" in block.body)
    lines = [json.loads(line) for line in read("results/ledger.jsonl").splitlines()]
    for name in DistillConfig().methods:
        *_, line = [x for x in lines if (x["setup"], x["method"], x["seed"]) == ("digits", name, 0)]  # the latest one
        row = next(row.split() for row in shown.splitlines() if row.split()[:1] == [name])
        result = line["result"]
        assert row[1:4] == [result["model"], f"{result['parameters']:,}", f"{result['multiply_adds']:,}"]
        assert row[4:8] == [f"{result[score]:.{n}f}" for score, n in SCORES.items()]


@pytest.mark.parametrize(
    ("script", "texts"),
    [("digits", ("crcd+kd", "top-1")), ("method", ("anchor", "linear head")), ("worth", ("log(K + 1)", "remembered"))],
)
def test_figures_are_drawn_again(script, texts, tmp_path):
    pytest.importorskip("matplotlib")
    command = [sys.executable, ROOT / "docs" / "figures" / f"{script}.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    drawn = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert drawn
    for text in texts:
        assert any(text in figure for figure in drawn.values()), text
    for name, figure in drawn.items():
        kept = read(f"docs/figures/{name}")
        assert re.findall(r"<text[^>]*>([^<]*)<", figure) == re.findall(r"<text[^>]*>([^<]*)<", kept), name
