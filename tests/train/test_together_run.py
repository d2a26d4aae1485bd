"""A run of several processes, and one that goes on in another number of them."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from crcd import distributed
from crcd.data import encoded
from crcd.errors import CrcdError
from crcd.methods.fsp import FSPConfig
from crcd.recipes import with_recipe
from crcd.relation.config import RelationConfig
from crcd.train import learner
from crcd.train.batchnorm import _WholeBatch
from crcd.train.config import DistillConfig
from crcd.train.distill import distill
from crcd.train.randomness import RandomStream
from crcd.train.reporter import Reporter
from crcd.train.stop import Due, RunStopped, StopSignal
from data_formats import make_imagenet_folders
from together import together


class InterruptAfter(Reporter):
    """Interrupts the first process, which alone has a reporter, after so many steps."""

    def __init__(self, steps=-1):
        self.left = steps

    def step(self, images):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def run(config, steps=-1):
    """What a run came to.

    PyTorch's channels-last kernel of batch normalisation on a CPU rounds more coarsely than ours, enough for the other
    side of a ReLU: a single process takes ours here, too.
    """
    learner.whole_batch_statistics = lambda enabled: _WholeBatch()
    try:
        return distill(config, InterruptAfter(steps)).summary
    except RunStopped as stopped:
        return str(stopped), stopped.status


def assert_alike(folder, other):
    """Weights and metrics of two runs are alike to the rounding of some steps, most of it that of a bank in float16."""
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    assert names == sorted(path.name for path in other.glob("*.safetensors"))
    for name in names:
        torch.testing.assert_close(load_file(folder / name), load_file(other / name), rtol=1e-4, atol=1e-4)
    lines, wanted = (
        [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()] for path in (folder, other)
    )
    for line, expected in zip(lines, wanted, strict=True):
        assert line.pop("learner") == expected.pop("learner")
        for name in ("seconds", "step_seconds", "images_per_second"):
            del line[name], expected[name]
        assert line == pytest.approx(expected, rel=1e-3)


@pytest.fixture(scope="module")
def settings(quick):
    """6 steps of a first stage and 6 of all learners, 3 an epoch."""
    crcd = RelationConfig(source="bank", negatives=16, dim=8, bank_rows="sharded", bank_precision="float16")
    return quick(methods=("ce", "crcd+kd", "fsp"), crcd=crcd, fsp=FSPConfig(2))


@pytest.fixture(scope="module")
def uninterrupted(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    together(1, run, replace(settings, out=folder))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_a_run_comes_to_the_same(settings, uninterrupted, tmp_path, size):
    summaries = together(size, run, replace(settings, out=tmp_path / "run"))
    assert_alike(tmp_path / "run", uninterrupted)
    for summary in summaries:
        assert summary["device"] == f"cpu (1 thread), {size} processes"
        for name in ("ce", "crcd+kd", "fsp"):
            assert summary["learners"][name]["top1"] == summaries[0]["learners"][name]["top1"]
    assert not list((tmp_path / "run").rglob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "place"), [(4, "epoch 2 after step 1 of training the first stage"), (11, "epoch 2")])
def test_an_interrupted_run_goes_on_in_other_numbers_of_processes(settings, uninterrupted, tmp_path, steps, place):
    config = replace(settings, out=tmp_path / "run")
    for told, status in together(4, run, config, steps):
        assert f"stopped by SIGINT in {place}" in told
        assert f"torchrun --nproc-per-node 4 -m crcd distill --resume {config.out}" in told
        assert status == 130
    again = replace(config, resume=config.out)
    for told, status in together(2, run, replace(again, time_budget="0.001s")):
        assert "time budget used up" in told
        assert status == 0
    together(1, run, again)
    assert_alike(tmp_path / "run", uninterrupted)


@pytest.mark.slow
def test_teacher_and_its_cache_are_made_together(quick, tmp_path):
    """The last batch of a view has 29 images, which two processes can't share evenly."""
    own = {"teacher_weights": None, "teacher_epochs": 1, "teacher_lr": 1e-5, "teacher_views": 1}
    config = quick(methods=("kd",), student_images=93, epochs=1, **own)
    for size in (1, 2):
        together(size, run, replace(config, out=tmp_path / f"{size}"))
    assert_alike(tmp_path / "2", tmp_path / "1")
    (cached,), (expected,) = ((tmp_path / f"{size}" / "teacher-cache").glob("*") for size in (2, 1))
    assert len(load_file(cached)["logits"]) == 93
    torch.testing.assert_close(load_file(cached), load_file(expected), rtol=2e-3, atol=1e-3)


def signalled(which):
    with StopSignal(None, "go on") as stop:
        if distributed.rank() == which:
            os.kill(os.getpid(), signal.SIGTERM)
        return stop.due() is Due.STOP, str(stop.stopped("now"))


def test_a_signal_to_one_process_stops_all():
    assert together(2, signalled, 1) == [(True, "stopped by SIGTERM now; continue with: go on")] * 2


def drawn():
    """Numbers of a process of its own, and what the common stream gives afterwards."""
    stream = RandomStream(0, torch.device("cpu"))
    own = []
    for draws in (0, 3, 3):
        with stream.active(), stream.apart():
            own.append(torch.rand(draws))
    with stream.active():
        return torch.cat(own), torch.rand(2)


def test_processes_draw_apart_and_go_on_together():
    (own, common), (other, same) = together(2, drawn)
    assert torch.equal(common, same)
    assert len({*own.tolist(), *other.tolist()}) == 12


def refused(config):
    try:
        distill(config)
    except CrcdError as error:
        return str(error)


def test_what_several_processes_cannot_do(quick, tmp_path):
    for changes, told in (
        ({"batch_size": 31}, "batch size 31 can't be divided among 2 processes: give a multiple"),
        ({"compile": True}, "--compile is for a single process, and there are 2: leave it out"),
        ({"out": tmp_path}, "exists and is not empty"),
    ):
        (tmp_path / "mine").touch()
        answers = together(2, refused, quick(**({"out": tmp_path / "run"} | changes)))
        assert all(told in answer for answer in answers)
        assert not (tmp_path / "run").exists()


def run_from_files(config):
    encoded.MEMORY_BUDGET = 0
    return run(config)


@pytest.mark.slow
def test_imagenet_in_miniature(tmp_path):
    """The recipe on the official layout, four images a step that two processes decode, until the first step."""
    make_imagenet_folders(tmp_path / "data")
    recipe = with_recipe(DistillConfig(), "imagenet/resnet34-resnet18")
    assert (recipe.crcd.source, recipe.crd.bank_precision) == ("queue", "float16")
    config = replace(
        recipe,
        data_dir=tmp_path / "data",
        image_size=64,
        batch_size=4,
        workers=1,
        methods=("crcd+kd", "crd"),
        crcd=replace(recipe.crcd, negatives=3),
        crd=replace(recipe.crd, negatives=3),
        device="cpu",
        time_budget="0.001s",
    )
    for told, _ in together(2, run_from_files, replace(config, out=tmp_path / "run")):
        assert "in epoch 1 after step 1 of training timm/resnet34" in told
