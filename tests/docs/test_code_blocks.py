"""Every code block of the pages runs, in their order, or is at least parsed; what does neither says why."""

from collections import Counter

import pytest

from crcd.cli import main
from crcd.cli.compare import plan
from crcd.recipes import with_recipe
from crcd.train.config import DistillConfig
from pages import COMMAND_RUN_BY_CI, PAGES, Block, blocks

NOT_RUN = {"index.md": 1, "quickstart.md": 1, "distributed.md": 3, "CONTRIBUTING.md": 2}
"""How many blocks of a page say that they are not run: one more is a decision."""

WORK = (
    *("distill.distill", "train.train", "evaluate.read_metadata", "probe.find_device", "data.fetch", "data._check"),
    *("export.export", "predict.load_classifier", "report.write_report"),
)
"""Where each command begins its work, its settings being known."""

ALL = [(page, block) for page in PAGES for block in blocks(page)]


class ParsedError(Exception):
    """The command line was understood."""


def code(page):
    return [block for where, block in ALL if where == page and block.is_code]


@pytest.fixture
def parse(monkeypatch, tmp_path):
    """Runs a command up to where its settings are known."""

    def stop(*_, **__):
        raise ParsedError

    monkeypatch.chdir(tmp_path)
    for place in WORK:
        monkeypatch.setattr(f"crcd.cli.{place}", stop)

    def parsed(words):
        folder = [words[words.index("--data") + 1]] if "--data" in words else words[2:3] if words[0] == "data" else []
        if folder == ["photos"]:
            (tmp_path / "photos" / "train" / "cat").mkdir(parents=True, exist_ok=True)
            (tmp_path / "photos" / "val" / "cat").mkdir(parents=True, exist_ok=True)
        if words[0] == "compare":
            assert plan(words[1:])[1]
            return True
        try:
            return main(words) == 0
        except ParsedError:
            return True

    return parsed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_understood(page, parse, tmp_path):
    for block in code(page):
        if "file" in block.notes:
            (tmp_path / block.notes["file"]).write_text(block.body)
        if not block.is_shell or "not run" in block.notes:
            continue
        for line, words in zip(block.commands, block.runs(), strict=True):
            if line in COMMAND_RUN_BY_CI:
                continue
            assert line.startswith("crcd "), f"{page.name}: '{line}' is no crcd command: mark it, or run it"
            assert parse(words), line


def test_what_is_not_run_is_counted():
    marked = Counter(page.name for page, block in ALL if block.is_code and "not run" in block.notes)
    assert marked == Counter(NOT_RUN)
    assert all(block.notes["not run"] for _, block in ALL if "not run" in block.notes)


def test_no_block_is_of_a_kind_that_nothing_tests():
    for page, block in ALL:
        known = (
            block.is_shell
            or not block.is_code
            or block.language in ("python", "yaml")
            or block.language.startswith("{")
        )
        assert known, f"{page.name}: {block.language}"


def runs(block: Block) -> bool:
    return block.language in ("python", "yaml") or any(note in block.notes for note in ("run", "run with", "file"))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if any(map(runs, code(page)))], ids=lambda page: page.name)
def test_blocks_run_in_their_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = {}
    for block in code(page):
        if "setup" in block.notes:
            exec(compile(block.notes["setup"], f"{page.name}: setup", "exec"), names)
        if "file" in block.notes:
            (tmp_path / block.notes["file"]).write_text(block.body)
        if block.language == "python":
            exec(compile(block.body, str(page), "exec"), names)
        elif block.language == "yaml":
            with_recipe(DistillConfig(), block.notes["file"])
        elif "run" in block.notes or "run with" in block.notes:
            for words in block.runs():
                assert main(words) == 0, words
