"""Comparisons of a second: what is measured, what is not measured again, what fails alone."""

import json
from dataclasses import replace
from itertools import product

import pytest
import torch
from PIL import Image

from crcd.compare.cell import Setup
from crcd.compare.ledger import Ledger
from crcd.compare.run import Comparison
from crcd.data import encoded
from crcd.errors import CrcdError
from crcd.lock import alone
from crcd.methods.kd import KD
from crcd.recipes import with_recipe
from crcd.train.config import DistillConfig
from crcd.train.distill import distill
from crcd.train.reporter import Reporter
from crcd.train.stop import RunStopped


class Notes(Reporter):
    def __init__(self):
        self.notes, self.titles = [], []

    def note(self, text):
        self.notes.append(text)

    def begin(self, title, learners, epochs, steps, done):
        self.titles.append(title)


@pytest.fixture
def setup():
    """Makes a setup of the digits that takes a second; arguments override it."""

    def make(*methods: str, **changes: object) -> Setup:
        small = replace(
            with_recipe(DistillConfig(), "digits"),
            teacher="resnet8", image_size=8, student_images=100, batch_size=32, epochs=1, device="cpu",
        )  # fmt: skip
        return Setup.of(replace(small, methods=methods, **changes), "digits")

    return make


@pytest.fixture
def compare(tmp_path):
    """Runs a comparison in one folder; gives it and what it noted."""

    def run(*setups: Setup, seeds=(0, 1), budget: float | None = None) -> tuple[Comparison, Notes]:
        comparison = Comparison(setups, seeds, Ledger(tmp_path / "ledger.jsonl"), tmp_path / "runs", budget)
        notes = Notes()
        comparison.run(notes)
        return comparison, notes

    return run


def test_all_cells_are_measured_once_under_one_teacher(compare, setup, tmp_path):
    first, notes = compare(setup("ce", "kd"))
    assert notes.titles == ["resnet8", "ce kd", "ce kd"]
    entries = first.entries()
    assert [(entry.method, entry.seed) for entry in entries] == [("ce", 0), ("kd", 0), ("ce", 1), ("kd", 1)]
    assert len({entry.teacher["weights"] for entry in entries}) == 1
    assert all(entry.teacher["epochs"] == 1 and entry.teacher["seconds"] > 0 for entry in entries)
    assert all(entry.top1_by_epoch == [entry.result["top1"]] for entry in entries)
    assert not list(tmp_path.glob("runs/**/checkpoint.pt"))
    assert len(list(tmp_path.glob("runs/**/kd.safetensors"))) == 2

    again, notes = compare(setup("ce", "kd", "kd@kd.weight=2"))
    assert notes.titles == ["kd@kd.weight=2.0", "kd@kd.weight=2.0"]
    assert again.entries()[:2] == entries[:2]
    assert len({entry.pair for entry in again.entries()}) == 2


def test_two_setups_may_share_cells(compare, setup):
    one, other = setup("ce", "kd"), replace(setup("ce"), label="another")
    comparison, notes = compare(one, other, seeds=(0,))
    assert notes.titles == ["resnet8", "ce kd"]
    assert [(entry.setup, entry.method) for entry in comparison.entries()] == [
        *((one.label, name) for name in ("ce", "kd")),
        ("another", "ce"),
    ]


def test_a_cell_is_what_distill_gives_with_its_settings(compare, setup, tmp_path):
    columns = setup("ce", "kd"), setup("kd", kd=replace(DistillConfig().kd, weight=2.0))
    comparison, _ = compare(*columns, seeds=(1,))
    entry = comparison.entries()[1]
    config = replace(columns[0].config, seed=1, teacher_seed=0, out=tmp_path / "alone", methods=("kd",))
    alone = distill(config).summary
    assert entry.result["top1"] == alone["learners"]["kd"]["top1"]
    assert entry.result["loss"] == alone["learners"]["kd"]["loss"]
    assert entry.teacher["weights"] == alone["teacher"]["weights"]


def test_a_method_that_breaks_leaves_the_others(compare, setup, monkeypatch):
    def broken(self, student, teacher, batch):
        loss = student.logits.sum() * torch.nan
        return {"loss": loss, "kd": loss.detach()}

    monkeypatch.setattr(KD, "forward", broken)
    comparison, notes = compare(setup("ce", "kd", "dkd"), seeds=(0,))
    assert notes.titles == ["resnet8", "ce kd dkd"]
    assert [entry.method for entry in comparison.entries()] == ["ce", "dkd"]
    (failure,) = comparison.failures
    assert (failure.method, failure.seed) == ("kd", 0)
    assert "of learner 'kd' not finite in epoch 1" in failure.reason


def test_one_that_cannot_begin_leaves_the_others(compare, setup):
    refused = "crcd@crcd.source=bank,crcd.shared=false,crcd.bank_precision=float16"
    comparison, _ = compare(setup("ce", refused, "kd"), seeds=(0,))
    assert [entry.method for entry in comparison.entries()] == ["ce", "kd"]
    assert [failure.method for failure in comparison.failures] == [refused]


@pytest.mark.parametrize("budget", [2**31, 0])
def test_images_of_ones_own_are_told_apart_by_what_they_are(compare, setup, tmp_path, monkeypatch, budget):
    """In memory or too many for it: moved and touched, they are the same."""
    monkeypatch.setattr(encoded, "MEMORY_BUDGET", budget)
    for number, name in enumerate(("one", "other")):
        for part, label, i in product(("train", "val"), ("cat", "dog"), range(4)):
            path = tmp_path / name / part / label / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), 40 * number + 90 * (label == "dog") + i).save(path)

    def of(name: str, *methods: str) -> Setup:
        return setup(*methods, data="folder", data_dir=tmp_path / name, student_images=None, batch_size=4)

    first, _ = compare(of("one", "ce", "kd"), seeds=(0,))
    other, notes = compare(of("other", "ce", "kd"), seeds=(0,))
    assert notes.titles == ["resnet8", "ce kd"]
    assert {entry.teacher["weights"] for entry in first.entries()} != {e.teacher["weights"] for e in other.entries()}
    (tmp_path / "one").rename(tmp_path / "moved")
    for path in (tmp_path / "moved").rglob("*.png"):
        path.touch()
    assert compare(of("moved", "ce", "kd"), seeds=(0,))[1].titles == []


def test_images_that_are_compared_first_are_downloaded(compare, setup, tmp_path, monkeypatch):
    asked = []

    def absent(name, root, **options):
        asked.append(options["download"])
        raise CrcdError("no network")

    monkeypatch.setattr("crcd.train.material.load_dataset", absent)
    for download in (True, False):
        with pytest.raises(CrcdError, match="no network"):
            compare(setup("ce", data="tiny-imagenet", data_dir=tmp_path, download=download), seeds=(0,))
    assert asked == [True, False]


def test_a_ledger_that_cannot_be_written_is_told_before_any_training(compare, setup, tmp_path):
    (tmp_path / "ledger.jsonl").mkdir()
    with pytest.raises(CrcdError, match="is no file"):
        compare(setup("ce"), seeds=(0,))
    assert not (tmp_path / "runs").exists()


def test_one_process_at_a_time(compare, setup, tmp_path):
    (tmp_path / "runs").mkdir()
    with alone(tmp_path / "runs"), pytest.raises(CrcdError, match="another crcd works in"):
        compare(setup("ce"), seeds=(0,))
    compare(setup("ce"), seeds=(0,))


def test_what_others_measured_meanwhile_is_not_measured_again(compare, setup, tmp_path):
    whole, _ = compare(setup("ce"))
    lines = (tmp_path / "ledger.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "ledger.jsonl").write_text(lines[0])
    late = Comparison([setup("ce")], (0, 1), Ledger(tmp_path / "ledger.jsonl"), tmp_path / "runs")
    (tmp_path / "ledger.jsonl").write_text("".join(lines))
    notes = Notes()
    late.run(notes)
    assert notes.titles == []
    assert late.entries() == whole.entries()


def test_an_unforeseen_error_is_kept_whole(compare, setup, monkeypatch, tmp_path):
    def broken(self, student, teacher, batch):
        raise TypeError("no such thing")

    monkeypatch.setattr(KD, "forward", broken)
    comparison, _ = compare(setup("kd"), seeds=(0,))
    assert [failure.reason for failure in comparison.failures] == ["no such thing"]
    assert "Traceback" in (tmp_path / "runs" / "errors.txt").read_text()


def test_a_setup_without_data_fails_alone(compare, setup, tmp_path):
    comparison, _ = compare(setup("ce", data="cifar100", data_dir=tmp_path), setup("ce"), seeds=(0,))
    assert [entry.setup for entry in comparison.entries()] == [setup("ce").label]
    assert "cifar100 is not in" in comparison.failures[0].reason


def test_time_runs_out_and_the_same_call_goes_on(compare, setup):
    with pytest.raises(RunStopped) as stopped:
        compare(setup("ce", "kd"), budget=0.3)
    assert stopped.value.status == 0
    whole, _ = compare(setup("ce", "kd"))
    assert len(whole.entries()) == 4


def test_given_weights_are_used_and_told(compare, setup, tmp_path):
    trained, _ = compare(setup("ce"), seeds=(0,))
    (weights,) = tmp_path.glob("runs/teachers/*/ce.safetensors")
    given, notes = compare(setup("ce", teacher_weights=weights), seeds=(0,))
    assert notes.titles == ["ce"]
    (entry,) = given.entries()
    assert entry.teacher["given"]
    assert entry.teacher["weights"] == trained.entries()[0].teacher["weights"]
    with pytest.raises(CrcdError, match="absent"):
        compare(setup("ce", teacher_weights=tmp_path / "absent.safetensors"), seeds=(0,))


def test_the_ledger_says_how_to_repeat_a_cell(compare, setup):
    comparison, _ = compare(setup("crd+kd@crd.negatives=50,crd.dim=8"), seeds=(3,))
    (entry,) = comparison.entries()
    assert set(entry.settings) >= {"crd", "kd", "epochs", "teacher_seed", "student_images"}
    assert not {"crcd", "dkd", "out", "methods", "teacher_weights"} & set(entry.settings)
    assert (entry.settings["crd"]["negatives"], entry.settings["crd"]["dim"]) == (50, 8)
    assert entry.run["side_by_side"] == [entry.method]
    assert {"torch", "torchvision", "crcd"} == set(entry.run["versions"])
    assert json.loads(json.dumps(entry.settings)) == entry.settings
