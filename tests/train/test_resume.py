import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from crcd.errors import CrcdError
from crcd.methods.fsp import FSPConfig
from crcd.methods.ft import FTConfig
from crcd.methods.kd import KD
from crcd.relation.config import RelationConfig
from crcd.train.distill import distill
from crcd.train.reporter import Reporter
from crcd.train.stop import RunStopped


class CrashError(Exception):
    """As sudden as kill -9: nothing is saved when it strikes."""


class CrashAfter(Reporter):
    """Crashes after so many steps, or batches of the teacher's cache, or trainings that came to their end."""

    def __init__(self, steps=-1, fillings=-1, ends=-1):
        self.left = {"step": steps, "fill": fillings, "end": ends}

    def count(self, kind):
        self.left[kind] -= 1
        if self.left[kind] == 0:
            raise CrashError

    def step(self, images):
        self.count("step")

    def fill(self, images):
        self.count("fill")

    def end(self):
        self.count("end")


def results(folder):
    """Weights, scores and loss parts of a finished run and its first stages, without its times."""
    summary = json.loads((folder / "summary.json").read_text())
    files = [folder / "metrics.jsonl", *sorted((folder / "first-stage").rglob("metrics.jsonl"))]
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    for entry in (
        summary,
        summary["teacher"],
        summary["teacher"].get("cache", {}),
        *summary["learners"].values(),
        *(learner.get("first_stage", {}) for learner in summary["learners"].values()),
        *lines,
    ):
        for name in ("seconds", "step_seconds", "images_per_second"):
            entry.pop(name, None)
    summary.pop("commit")
    weights = {path.name: load_file(path) for path in folder.glob("*.safetensors")}
    bits = {file: {name: tensor.numpy().tobytes() for name, tensor in state.items()} for file, state in weights.items()}
    return summary, lines, bits


@pytest.fixture(scope="module", params=[None, 2], ids=["live teacher", "cached teacher"])
def settings(request, quick):
    """100 images in batches of 32: 3 steps an epoch; a teacher of 44 steps an epoch first."""
    return quick(
        teacher_views=request.param,
        teacher_weights=None,
        teacher_epochs=1,
        epochs=3,
        methods=("ce", "kd", "crcd"),
        crcd=RelationConfig(negatives=16, dim=8),
    )


@pytest.fixture(scope="module")
def uninterrupted(settings, tmp_path_factory):
    return distill(replace(settings, out=tmp_path_factory.mktemp("whole"))).folder


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [(1, 1e9), (20, 1e-9), (44 + 5, 1e-9), (44 + 5, 1e9), (44 + 9, 1e-9)],
    ids=["at once", "in the teacher", "in an epoch", "in an epoch, saved before it", "at the last step"],
)
def test_a_crashed_run_goes_on_to_the_same_bits(settings, uninterrupted, tmp_path, steps, seconds):
    config = replace(settings, out=tmp_path / "run", checkpoint_seconds=seconds)
    with pytest.raises(CrashError):
        distill(config, CrashAfter(steps))
    assert results(distill(replace(config, resume=config.out)).folder) == results(uninterrupted)


def test_the_time_budget_stops_between_steps_and_the_run_goes_on(settings, uninterrupted, tmp_path):
    config = replace(settings, out=tmp_path / "run")
    with pytest.raises(RunStopped, match=f"crcd distill --resume {config.out}") as stopped:
        distill(replace(config, time_budget="0.01s"))
    assert stopped.value.status == 0
    assert not (config.out / "teacher" / "summary.json").exists()
    assert results(distill(replace(config, resume=config.out)).folder) == results(uninterrupted)


def test_a_finished_run_stays_as_it_is(settings, uninterrupted):
    before = results(uninterrupted)
    distill(replace(settings, resume=uninterrupted))
    assert results(uninterrupted) == before


@pytest.fixture(scope="module")
def in_stages(quick):
    """3 steps an epoch: 6 steps of a first stage, 6 of another, 6 of all learners together."""
    return quick(methods=("ce", "fsp", "ft+kd"), fsp=FSPConfig(2), ft=FTConfig(2), epochs=2)


@pytest.fixture(scope="module")
def uninterrupted_in_stages(in_stages, tmp_path_factory):
    return results(distill(replace(in_stages, out=tmp_path_factory.mktemp("stages"))).folder)


@pytest.mark.parametrize("seconds", [1e9, 1e-9], ids=["saved after an epoch", "saved after each step"])
@pytest.mark.parametrize("crash", [{"steps": n} for n in (1, 5, 8, 13, 17)] + [{"ends": n} for n in (1, 2)], ids=str)
def test_a_run_that_crashed_in_any_stage_goes_on(in_stages, uninterrupted_in_stages, tmp_path, crash, seconds):
    config = replace(in_stages, out=tmp_path / "run", checkpoint_seconds=seconds)
    with pytest.raises(CrashError):
        distill(config, CrashAfter(**crash))
    assert results(distill(replace(config, resume=config.out)).folder) == uninterrupted_in_stages


@pytest.mark.parametrize(("steps", "balance"), [(2, "sampler"), (5, "loss")])
def test_every_way_to_train_goes_on_to_the_same_bits(quick, tmp_path, steps, balance):
    """3 steps an epoch; the moving average, moments and rates of layers are part of the state."""
    config = quick(
        methods=("kd", "fsp"), fsp=FSPConfig(1), optimizer="adamw", lr=1e-3, layer_decay=0.8, decay_norms=False,
        clip_norm=1.0, label_smoothing=0.1, ema=0.9, batch_parts=4, freeze=("body.stem",),
        balance=balance, crop="random-resized", policy="randaugment", mixup=0.2, cutmix=1.0,
    )  # fmt: skip
    whole = distill(replace(config, out=tmp_path / "whole"))
    cut = replace(config, out=tmp_path / "cut", checkpoint_seconds=1e-9)
    with pytest.raises(CrashError):
        distill(cut, CrashAfter(3 + steps))
    assert results(distill(replace(cut, resume=cut.out)).folder) == results(whole.folder)


@pytest.mark.parametrize("steps", [None, 2, 5])
def test_a_learner_that_fails_is_left_out_and_the_others_do_not_notice(quick, tmp_path, monkeypatch, steps):
    """It fails at the third of six steps; the crash comes before or after."""
    config = quick(methods=("ce", "kd", "sp"), keep_going=True)
    whole = distill(replace(config, out=tmp_path / "whole"))
    calls = []

    def breaking(self, student, teacher, batch):
        calls.append(batch)
        loss = student.logits.sum() * (float("nan") if len(calls) > 3 else 0.0)
        return {"loss": loss, "kd": loss.detach()}

    monkeypatch.setattr(KD, "forward", breaking)
    cut = replace(config, out=tmp_path / "cut", checkpoint_seconds=1e-9)
    if steps is not None:
        with pytest.raises(CrashError):
            distill(cut, CrashAfter(steps))
        cut = replace(cut, resume=cut.out)
    summary = distill(cut).summary
    assert list(summary["failed"]) == ["kd"]
    assert "of learner 'kd' not finite in epoch" in summary["failed"]["kd"]
    assert list(summary["learners"]) == ["ce", "sp"]
    assert not (tmp_path / "cut" / "kd.safetensors").exists()
    for name in ("ce", "sp"):
        assert summary["learners"][name]["loss"] == whole.summary["learners"][name]["loss"]
        one, other = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("whole", "cut"))
        assert all(torch.equal(one[key], other[key]) for key in one)
    with pytest.raises(CrcdError, match="of learner 'kd' not finite"):
        distill(replace(config, keep_going=False, out=tmp_path / "strict"))


def test_the_time_budget_stops_a_first_stage(in_stages, uninterrupted_in_stages, tmp_path):
    config = replace(in_stages, out=tmp_path / "run")
    with pytest.raises(RunStopped, match=f"of training the first stage of fsp; continue with: .*--resume {config.out}"):
        distill(replace(config, time_budget="0.001s"))
    assert not (config.out / "checkpoint.pt").exists()
    assert results(distill(replace(config, resume=config.out)).folder) == uninterrupted_in_stages


def test_a_first_stage_under_changed_settings_is_refused(in_stages, tmp_path):
    config = replace(in_stages, out=tmp_path / "run")
    with pytest.raises(CrashError):
        distill(config, CrashAfter(1))
    told = f"fsp/checkpoint.pt comes from other settings than {config.out / 'config.yaml'}: undo"
    with pytest.raises(CrcdError, match=told):
        distill(replace(config, resume=config.out, lr=0.1))


def test_a_run_that_crashed_while_the_teacher_was_asked_goes_on(quick, tmp_path):
    config = quick(methods=("kd",), teacher_views=2, out=tmp_path / "whole")
    whole = results(distill(config).folder)
    for batches in (1, 6):  # in the first view, in the second
        crashed = replace(config, out=tmp_path / f"{batches}")
        with pytest.raises(CrashError):
            distill(crashed, CrashAfter(fillings=batches))
        assert results(distill(replace(crashed, resume=crashed.out)).folder) == whole


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(quick, tmp_path):
    config = quick(methods=("ce", "kd"), lr=1e30, out=tmp_path / "run")
    with pytest.raises(CrcdError, match="of learner 'ce' not finite in epoch 1 by step") as error:
        distill(config)
    assert str(tmp_path / "run" / "checkpoint.pt") in str(error.value)
    assert (tmp_path / "run" / "checkpoint.pt").is_file()
    assert not (tmp_path / "run" / "summary.json").exists()


def test_changed_settings_are_refused(quick, tmp_path):
    config = quick(methods=("ce",), epochs=1, out=tmp_path / "run")
    distill(config)
    with pytest.raises(CrcdError, match="comes from other settings"):
        distill(replace(config, resume=config.out, lr=0.1))
