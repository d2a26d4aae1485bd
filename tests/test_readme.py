"""The README's Python blocks run as they stand, and its commands but for their size."""

import itertools
import json
import re
from dataclasses import fields
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from crcd import CRCDLoss
from crcd.cli import main
from crcd.compare.ledger import Entry
from measured import filled
from pages import ROOT, python_blocks

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = python_blocks(ROOT / "README.md")


def run_block(number: int) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(BLOCKS[number], "README.md", "exec"), names)
    return names


def classifiers() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    student = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4))
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    return student, teacher


def test_folder_command(tmp_path, monkeypatch, capsys):
    (command,) = re.findall(r"^crcd (distill --data photos .*)$", README, flags=re.MULTILINE)
    for part, name in itertools.product(("train", "val"), ("cat", "dog")):
        (tmp_path / "photos" / part / name).mkdir(parents=True)
        for i in range(4):
            image = Image.new("RGB", (80, 70), (9 * i, 60, 200 * (name == "dog")))
            image.save(tmp_path / "photos" / part / name / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    smaller = ["--epochs", "1", "--batch-size", "4", "--warmup-epochs", "0", "--device", "cpu", "--no-report"]
    words = command.replace(" --epochs 60", "").split()
    assert main([*words, *smaller]) == 0
    assert "crcd" in capsys.readouterr().out
    assert (tmp_path / "runs" / "folder-resnet56-resnet20-1" / "crcd+itrd.safetensors").is_file()


def test_the_loss_is_ten_lines():
    (block,) = BLOCKS
    assert len(block.split("def distil")[1].strip().splitlines()[1:]) <= 10


def test_loss_in_a_loop_trains_student_and_heads():
    student, teacher = classifiers()
    image, labels = torch.randn(512, 1, 4, 4), torch.arange(512) % 4
    image += F.one_hot(labels, 16).view(-1, 1, 4, 4) * 4
    batches = torch.arange(512).split(32)
    names = run_block(0)
    heads = []

    class Watched(CRCDLoss):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings)
            heads.append((self.feature.student_head.linear.weight, self.feature.student_head.linear.weight.clone()))

    names["CRCDLoss"] = Watched

    def loss() -> float:
        return F.cross_entropy(student(image), labels).item()

    before = loss()
    names["distil"](student, teacher, [(image[i], labels[i]) for i in batches], 8, 32)
    assert loss() < 0.8 * before
    ((now, then),) = heads
    assert not torch.equal(now, then)
    assert all(p.grad is None for p in teacher.parameters())


@pytest.mark.parametrize("page", ["README.md", "results/README.md"])
def test_tables_come_from_the_ledger_and_the_files_of_the_benchmarks(page):
    shown = (ROOT / page).read_text(encoding="utf-8")
    assert filled(shown) == shown
    assert re.search(r": begin -->\n\|", shown)


def test_the_photographs_are_in_the_ledger():
    page = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    section = page.split("## A folder of photographs\n")[1].split("\n## ")[0]
    lines = (ROOT / "results" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    measured: dict[tuple[str, ...], dict[str, str]] = {}
    for e in map(json.loads, lines):
        if e["recipe"] == "folder" and e["run"]["scored_on"] == "test":
            key = e["teacher"]["model"], f"{e['teacher']['top1']:.2f}", e["result"]["model"], str(e["result"]["epochs"])
            measured.setdefault(key, {})[e["method"]] = f"{e['result']['top1']:.2f}"
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in section.splitlines() if line.startswith("| timm/")]
    assert len(rows) == len(measured) == 3
    for teacher, top1, student, epochs, _, *scores in rows:
        found = measured[teacher.partition(",")[0], top1, student, epochs]
        crcd = "crcd+kd@crcd.source=bank,crcd.remember=embeddings,crcd.sample_share=0.0"
        assert scores == [found[name] for name in ("ce", "kd", crcd)]


def test_the_schema_of_the_ledger_is_that_of_its_entries():
    page = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    schema = page.split("## The ledger\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", schema, flags=re.MULTILINE) == [field.name for field in fields(Entry)]
