import gc
import json
import math
from dataclasses import replace

import pytest
import torch
import yaml
from safetensors.torch import load_file

from crcd.config_file import to_plain
from crcd.errors import CrcdError
from crcd.evaluate.pretrained import read_run
from crcd.evaluate.students import score_students
from crcd.methods import METHODS
from crcd.methods.two_stage import TwoStage
from crcd.models import Viewer, read_metadata
from crcd.relation.config import RelationConfig
from crcd.train.build import load_model
from crcd.train.distill import distill
from crcd.train.material import Material
from crcd.train.options import DataOptions
from crcd.train.reporter import Reporter
from crcd.train.run_folder import RunFolder
from crcd.train.stop import RunStopped
from crcd.train.teacher import Teacher

PARTS = {"crcd": ("feature", "gradient", "mi_bound"), "fsp": (), "ab": ()}
"""What a method reports beside its loss, where that is not its own name; nothing where it rests."""

TWO_STAGES = [name for name, (kind, _) in METHODS.items() if issubclass(kind, TwoStage)]


def numbers(outcome, learner):
    """What must not change from run to run: scores and loss parts, not times."""
    entry = outcome.summary["learners"][learner]
    return {name: value for name, value in entry.items() if name not in ("seconds", "first_stage")}


def test_run_folder(quick, tmp_path):
    config = quick(methods=("ce", "kd"), out=tmp_path / "run")
    outcome = distill(config)
    folder = RunFolder(outcome.folder)
    assert sorted(path.name for path in outcome.folder.iterdir()) == [
        *("ce.safetensors", "checkpoint.pt", "config.yaml", "kd.safetensors"),
        *("metrics.jsonl", "summary.json", "teacher.safetensors"),
    ]
    assert yaml.safe_load(folder.config.read_text()) == to_plain(config)
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [(line["epoch"], line["learner"]) for line in lines] == [(1, "ce"), (1, "kd"), (2, "ce"), (2, "kd")]
    assert {"loss", "ce", "kd", "top1", "agreement", "lr", "seconds", "images_per_second"} <= lines[-1].keys()
    summary = json.loads(folder.summary.read_text())
    assert summary == outcome.summary
    assert summary["learners"]["kd"]["top1"] == lines[-1]["top1"]
    assert summary["learners"]["kd"].keys() >= {"agreement", "parameters", "multiply_adds", "epochs", "seconds", "kd"}
    assert summary["teacher"].keys() >= {"top1", "parameters", "multiply_adds", "epochs", "seconds"}
    assert (summary["student_images"], summary["scored_images"], summary["scored_on"]) == (100, 360, "test")
    assert {"commit", "device", "seconds", "seed", "epochs"} <= summary.keys()
    assert read_metadata(folder.weights("kd"))["model"] == "resnet8"


def test_a_name_that_no_file_can_have(quick, tmp_path):
    changes = ["ft.weight=1", f"kd.weight=0.{'5' * 240}", "ft.first_stage_epochs=1"]
    long = f"ft+kd@{','.join(changes)}"
    outcome = distill(quick(methods=(long, "ce"), epochs=1, log=("tensorboard",), out=tmp_path / "run"))
    folder = RunFolder(outcome.folder)
    assert list(outcome.summary["learners"]) == [long, "ce"]
    assert folder.weights(long).is_file()
    assert folder.method_weights(long).is_file()
    assert len(list((folder.path / "tensorboard").iterdir())) == 2
    assert {network.name for network in read_run(folder.path)} == {"teacher", long, "ce"}


def test_fidelity_and_calibration_are_those_of_the_weights_as_saved(quick, tmp_path):
    config = quick(methods=("ce", "kd"), out=tmp_path / "run")
    summary = distill(config).summary
    material = Material.load(config, config.seed, torch.device("cpu"))
    teacher, *students = (
        Viewer(load_model("resnet8", tmp_path / "run" / f"{name}.safetensors", material))
        for name in ("teacher", *summary["learners"])
    )
    of_teacher, scores = score_students(teacher, students, material.score_loader().epoch(0), material.scored.labels)
    assert summary["teacher"]["ece"] == pytest.approx(of_teacher["ece"], rel=1e-4)
    for entry, score in zip(summary["learners"].values(), scores, strict=True):
        assert {name: entry[name] for name in score} == pytest.approx(score, rel=1e-4)


def test_learners_are_alone_in_their_numbers(quick, tmp_path):
    beside = distill(quick(methods=("kd", "ce"), out=tmp_path / "beside"))
    alone = distill(quick(methods=("ce",), out=tmp_path / "alone"))
    assert numbers(alone, "ce") == numbers(beside, "ce")
    for name, tensor in load_file(alone.folder / "ce.safetensors").items():
        assert tensor.equal(load_file(beside.folder / "ce.safetensors")[name])


def test_bf16_is_a_run_of_its_own_with_weights_and_banks_in_float32(quick, tmp_path):
    crcd = RelationConfig(negatives=40, dim=16)
    single, half, again = (
        distill(quick(methods=("crcd",), crcd=crcd, precision=precision, out=tmp_path / name))
        for name, precision in (("single", "float32"), ("half", "bf16"), ("again", "bf16"))
    )
    assert numbers(half, "crcd") == numbers(again, "crcd")
    assert numbers(half, "crcd")["loss"] != numbers(single, "crcd")["loss"]
    assert numbers(half, "crcd")["loss"] == pytest.approx(numbers(single, "crcd")["loss"], rel=0.05)
    state = torch.load(half.folder / "checkpoint.pt", weights_only=True)["learners"]["crcd"]
    tensors = [*state["student"].values(), *state["method"].values()]
    floating = {x.dtype for x in tensors if isinstance(x, torch.Tensor) and x.is_floating_point()}
    assert floating == {torch.float32}


@pytest.mark.parametrize("method", [*METHODS, "crd+kd", "sp+crcd", "fsp+kd"])
def test_every_method_trains_and_goes_on_from_its_checkpoint(quick, tmp_path, method):
    small = {name: replace(getattr(quick(), name), negatives=40, dim=16) for name in ("crd", "crcd")}
    small |= {name: replace(getattr(quick(), name), first_stage_epochs=1) for name in TWO_STAGES}
    whole = distill(quick(methods=(method,), epochs=2, out=tmp_path / "whole", **small))
    history = [json.loads(line) for line in (whole.folder / "metrics.jsonl").read_text().splitlines()]
    assert all(math.isfinite(record["loss"]) for record in history)
    assert {part for name in method.split("+") for part in PARTS.get(name, (name,))} <= history[0].keys()
    with pytest.raises(RunStopped):
        distill(quick(methods=(method,), epochs=2, out=tmp_path / "part", time_budget="0.01s", **small))
    config = RunFolder(tmp_path / "part").read_config(quick())
    again = distill(replace(config, resume=tmp_path / "part", time_budget=None))
    assert numbers(again, method) == numbers(whole, method)


def test_feature_maps_are_not_in_a_cache(quick, tmp_path):
    with pytest.raises(CrcdError, match="method 'sp' needs the teacher's feature maps, which its cache does not hold"):
        quick(methods=("kd", "sp"), teacher_views=2, out=tmp_path / "run")


def test_boundaries_of_networks_out_of_the_zoo_are_refused_before_any_work(quick, tmp_path):
    for role in ("teacher", "student"):
        with pytest.raises(CrcdError, match="its maps before their activation are not known"):
            distill(quick(methods=("ab",), out=tmp_path / "run", teacher_weights=None, **{role: "timm/resnet10t"}))
        assert not (tmp_path / "run").exists()


def test_seed_decides(quick, tmp_path):
    once, again, other = (
        distill(quick(methods=("kd",), out=tmp_path / name, seed=seed))
        for name, seed in (("once", 0), ("again", 0), ("other", 1))
    )
    assert numbers(once, "kd") == numbers(again, "kd")
    assert numbers(once, "kd")["loss"] != numbers(other, "kd")["loss"]


def test_distillation_may_end_before_the_run(quick, tmp_path):
    outcome = distill(quick(methods=("kd",), distill_until=1, out=tmp_path / "run"))
    first, last = (json.loads(line) for line in (outcome.folder / "metrics.jsonl").read_text().splitlines())
    assert "kd" in first
    assert "kd" not in last
    assert last["loss"] == last["ce"]
    assert outcome.summary["learners"]["kd"]["kd"] == first["kd"]


def test_teacher_is_trained_on_all_images_in_a_run_of_its_own(quick, tmp_path):
    outcome = distill(quick(methods=("ce",), teacher_weights=None, teacher_epochs=1, epochs=1, out=tmp_path / "run"))
    own = RunFolder(outcome.folder / "teacher").read_summary()
    assert own["learners"]["ce"]["epochs"] == outcome.summary["teacher"]["epochs"] == 1
    assert own["train_images"] == 1437
    assert own["learners"]["ce"]["top1"] == pytest.approx(outcome.summary["teacher"]["top1"], abs=0.6)
    kept = load_file(outcome.folder / "teacher.safetensors")
    trained = load_file(outcome.folder / "teacher" / "ce.safetensors")
    assert all(kept[name].equal(trained[name]) for name in trained)


class Asked(Reporter):
    """Counts what the teacher is asked for its cache."""

    images = 0

    def fill(self, images):
        self.images += images


def weights(outcome, learner):
    return {
        name: tensor.numpy().tobytes() for name, tensor in load_file(outcome.folder / f"{learner}.safetensors").items()
    }


def test_runs_share_a_cache_of_the_teacher(quick, tmp_path):
    asked = Asked()
    shared = {"methods": ("kd",), "epochs": 1, "student_images": None, "teacher_cache": tmp_path / "cache"}
    first, again, other, more = (
        distill(quick(out=tmp_path / name, teacher_views=views, seed=seed, **shared), asked)
        for name, views, seed in (("first", 1, 0), ("again", 1, 0), ("other", 1, 1), ("more", 2, 0))
    )
    assert asked.images == 2 * 1437
    assert numbers(first, "kd") == numbers(again, "kd")
    assert weights(first, "kd") == weights(again, "kd")
    assert numbers(first, "kd")["loss"] != numbers(other, "kd")["loss"]
    assert numbers(first, "kd")["loss"] != numbers(more, "kd")["loss"]
    assert first.summary["teacher"]["cache"]["seconds"] > 0
    assert again.summary["teacher"]["cache"] == first.summary["teacher"]["cache"] | {"seconds": 0}
    assert len(list((tmp_path / "cache").iterdir())) == more.summary["teacher"]["cache"]["views"] == 2


def test_cached_teacher_trains_as_the_live_one_does_on_the_same_pool(quick, tmp_path, monkeypatch):
    config = quick(methods=("kd", "crcd+kd"), crcd=RelationConfig(negatives=16, dim=8), teacher_views=2)
    cached = distill(replace(config, out=tmp_path / "cached"))
    monkeypatch.setattr("crcd.train.distill.CachedTeacher", lambda files, teacher: teacher)
    live = distill(replace(config, out=tmp_path / "live"))
    for learner in ("kd", "crcd+kd"):
        assert weights(cached, learner) != weights(live, learner)
        for part in ("loss", "ce", "kd"):
            assert numbers(cached, learner)[part] == pytest.approx(numbers(live, learner)[part], rel=1e-3, abs=1e-3)


def test_students_without_teacher_have_a_pool_and_no_cache(quick, tmp_path):
    alone = distill(quick(methods=("ce",), teacher_views=1, out=tmp_path / "alone"))
    beside = distill(quick(methods=("ce", "kd"), teacher_views=1, out=tmp_path / "beside"))
    fresh = distill(quick(methods=("ce",), out=tmp_path / "fresh"))
    assert numbers(alone, "ce") == numbers(beside, "ce")
    assert numbers(alone, "ce") != numbers(fresh, "ce")
    assert "cache" not in alone.summary["teacher"]
    assert not (tmp_path / "alone" / "teacher-cache").exists()


def test_every_seed_holds_out_the_same_images():
    options = DataOptions(holdout=0.25)
    first, other = (Material.load(options, seed, torch.device("cpu")) for seed in (0, 1))
    assert first.scored.digest() == other.scored.digest()


def test_holdout_is_scored_and_seen_by_nobody(quick, tmp_path):
    summary = distill(quick(methods=("ce",), holdout=0.25, epochs=1, student_images=None, out=tmp_path / "run")).summary
    assert summary["scored_on"] == "holdout"
    assert summary["train_images"] + summary["scored_images"] == 1437
    assert summary["scored_images"] == pytest.approx(1437 / 4, abs=1)


def test_folder_in_use_is_refused_before_any_work(quick, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(CrcdError, match="exists and is not empty"):
        distill(quick(out=tmp_path / "run"))


def test_mistake_in_the_student_leaves_no_folder(quick, tmp_path):
    with pytest.raises(CrcdError, match="unknown model 'resnet9'"):
        distill(quick(student="resnet9", out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_weights_of_another_network_are_refused(quick, tmp_path):
    with pytest.raises(CrcdError, match="they are of a resnet8, not of a resnet14"):
        distill(quick(teacher="resnet14", out=tmp_path / "run"))


def test_a_kernel_that_cannot_run_is_refused_before_the_teacher_is_trained(quick, tmp_path):
    crcd = RelationConfig(negatives=40, kernel="native", relation="mlp")
    config = quick(methods=("crcd",), crcd=crcd, out=tmp_path / "run")
    with pytest.raises(CrcdError, match="the native kernel takes the difference relation"):
        distill(replace(config, teacher_weights=None))
    assert not (tmp_path / "run").exists()


def test_a_cache_that_cannot_be_written_is_refused_before_the_teacher_is_trained(quick, tmp_path):
    (tmp_path / "file").write_text("no folder")
    config = quick(methods=("kd",), teacher_views=2, teacher_cache=tmp_path / "file" / "cache", out=tmp_path / "run")
    with pytest.raises(CrcdError, match=r"--teacher-cache is \S*cache \(Not a directory\): name a folder"):
        distill(replace(config, teacher_weights=None))
    assert not (tmp_path / "run").exists()


def test_more_negatives_than_there_are(quick, tmp_path):
    outcome = distill(quick(methods=("crcd",), crcd=RelationConfig(negatives=5000), out=tmp_path / "run"))
    assert outcome.summary["learners"]["crcd"]["feature"] > 0


class Teachers(Reporter):
    """Counts the teachers that are there when the training begins."""

    def begin(self, title, learners, epochs, steps, done):
        gc.collect()
        self.count = sum(type(x) is Teacher for x in gc.get_objects())


def test_one_copy_of_the_teacher_is_kept_while_students_learn(quick, tmp_path):
    reporter = Teachers()
    distill(quick(methods=("kd",), epochs=1, out=tmp_path / "run"), reporter)
    assert reporter.count == 1
