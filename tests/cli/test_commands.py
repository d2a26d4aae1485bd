import json
import os
import re
import subprocess
import sys

import pytest

from crcd import __version__
from crcd.cli.compare import plan
from crcd.data import dataset_names, default_recipe, encoded
from crcd.methods import method_names
from crcd.models import model_names
from crcd.recipes import recipe_names, with_recipe
from crcd.train.config import DistillConfig
from data_formats import tar


def test_distill(crcd, tmp_path, weights, quick):
    run = tmp_path / "run"
    answer = crcd("distill", *quick, "--teacher-weights", weights, "--out", run)
    assert (answer.status, answer.err) == (0, "")
    assert re.search(r"^epoch 1/1  kd  loss \d+\.\d+  top-1 \d+\.\d+ %  agreement ", answer.out, re.MULTILINE)
    assert "\x1b" not in answer.out
    assert "\r" not in answer.out
    kd = json.loads((run / "summary.json").read_text())["learners"]["kd"]
    row = next(line for line in answer.out.splitlines() if re.match(r"\W*kd\W", line))
    assert f"{kd['parameters']:,}" in row
    assert f"{kd['multiply_adds']:,}" in row
    assert f"{kd['top1']:.2f}" in row
    assert f"{kd['agreement']:.2f}" in row
    assert f"{kd['kl']:.3f}" in row
    assert f"{kd['ece']:.2f}" in row
    assert answer.out.splitlines()[-1] == f"all of it is in {run}"


def test_flags_win_over_the_recipe_and_the_recipe_over_defaults(crcd, tmp_path, weights, quick):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("epochs: 3\nlr: 0.25\nkd:\n  temperature: 2\n")
    run = tmp_path / "run"
    crcd("distill", "--recipe", recipe, *quick, "--teacher-weights", weights, "--out", run)
    lines = (run / "config.yaml").read_text().splitlines()
    assert {"epochs: 1", "lr: 0.25", "  temperature: 2.0", "momentum: 0.9"} <= set(lines)


def test_resume_takes_everything_from_the_folder(crcd, tmp_path, weights, quick):
    run = tmp_path / "run"
    crcd("distill", *quick, "--teacher-weights", weights, "--out", run)
    before = json.loads((run / "summary.json").read_text())
    answer = crcd("distill", "--resume", run, "--device", "cpu", "--no-report")
    assert answer.status == 0, answer.err
    assert json.loads((run / "summary.json").read_text())["learners"] == before["learners"]


def test_time_budget_ends_well_and_says_how_to_go_on(crcd, tmp_path, weights, quick):
    run = tmp_path / "run"
    answer = crcd("distill", *quick, "--teacher-weights", weights, "--out", run, "--time-budget", "0.01s")
    assert answer.status == 0
    assert answer.err.endswith(f"continue with: crcd distill --resume {run}\n")
    assert crcd("distill", "--resume", run, "--no-report").status == 0
    assert (run / "summary.json").is_file()


def test_train_and_evaluate(crcd, tmp_path):
    run = tmp_path / "run"
    answer = crcd("train", "--model", "resnet8", "--device", "cpu", "--image-size", "8", "--epochs", "1", "--out", run)
    assert answer.status == 0, answer.err
    ce = json.loads((run / "summary.json").read_text())["learners"]["ce"]
    top1 = ce["top1"]
    assert 0 < ce["ece"] < 100
    answer = crcd("evaluate", "--weights", run / "ce.safetensors", "--device", "cpu")
    assert answer.out == f"resnet8 on 360 test images of digits: top-1 {top1:.2f} %\n"
    assert crcd("train", "--resume", run).status == 0


@pytest.mark.parametrize("equals", [False, True])
def test_data_may_be_the_folder_where_it_lies(crcd, tmp_path, photographs, equals):
    data = [f"--data={photographs}"] if equals else ["--data", photographs]
    small = ("--device", "cpu", "--image-size", "16", "--epochs", "1", "--batch-size", "4", "--warmup-epochs", "0")
    answer = crcd("train", *data, "--model", "resnet8", *small, "--out", tmp_path / "run")
    assert answer.status == 0, answer.err
    assert "4 test images of folder" in crcd("evaluate", "--weights", tmp_path / "run" / "ce.safetensors", *data).out
    assert "holds no data set" in crcd("train", "--data", tmp_path / "run").err


def test_a_folder_in_a_recipe_and_in_a_line_of_a_queue(tmp_path, photographs, complaint):
    recipe, queue = tmp_path / "own.yaml", tmp_path / "queue.yaml"
    recipe.write_text(f"data: {photographs}\nepochs: 3\n")
    queue.write_text(f"queue: ['folder --data {photographs} --methods ce', '{recipe} --methods ce']\n")
    for comparison in plan([str(queue)])[1]:
        (setup,) = comparison.setups
        assert (setup.config.data, setup.config.data_dir) == ("folder", photographs)
    assert "is a folder, where it lies" in complaint("train", "--recipe", recipe, "--data-dir", tmp_path)
    recipe.write_text(f"data: cifar100\ndata_dir: {tmp_path}\n")
    _, (comparison,), _ = plan([str(recipe), "--data", str(photographs)])
    assert comparison.setups[0].config.data_dir == photographs


def test_shards_learn_as_their_folder_does_from_files_and_after_a_stop(crcd, tmp_path, photographs, monkeypatch):
    for part in ("train", "val"):
        files = sorted((photographs / part).glob("*/*.png"))
        for number in (0, 1):
            half = files[number * len(files) // 2 :][: len(files) // 2]
            key = {file: f"{file.parent.name}/{file.stem}" for file in half}
            members = {f"{key[file]}.png": file.read_bytes() for file in half}
            labels = {f"{key[file]}.cls": file.parent.name.encode() for file in half}
            tar(tmp_path / f"shards/{part}-{number}.tar", members | labels)
    small = ("--device", "cpu", "--image-size", "16", "--epochs", "2", "--batch-size", "4", "--warmup-epochs", "0")
    words = ("train", "--model", "resnet8", "--crop", "padded", *small)
    assert crcd(*words, "--data", photographs, "--out", tmp_path / "a").status == 0
    monkeypatch.setattr(encoded, "MEMORY_BUDGET", 0)
    stopped = crcd(*words, "--data", tmp_path / "shards", "--out", tmp_path / "b", "--time-budget", "0.001s")
    assert "in epoch 1 after step 1 " in stopped.err
    assert crcd("train", "--resume", tmp_path / "b").status == 0
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in "ab"
    ]
    assert len(losses[0]) == 2
    assert losses[0] == losses[1]


def test_list(crcd):
    assert crcd("list", "models").out.split() == model_names()
    assert crcd("list", "methods").out.split() == method_names()
    assert crcd("list", "data").out.split() == dataset_names()
    assert crcd("list", "recipes").out.split() == recipe_names()
    assert [line.split(":")[0] for line in crcd("list").out.splitlines()] == ["models", "methods", "data", "recipes"]


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_are_settings(name):
    config = with_recipe(DistillConfig(), name)
    assert {config.teacher, config.student} <= {*model_names(), "timm/resnet50", "timm/resnet34", "timm/resnet18"}
    assert config.data in dataset_names()


def test_every_data_set_has_its_recipe():
    assert {default_recipe(name) for name in dataset_names()} <= set(recipe_names())


@pytest.mark.parametrize("command", ["distill", "train", "evaluate", "probe"])
def test_help_shows_flags_in_groups_with_defaults(crcd, command):
    answer = crcd(command, "--help")
    assert answer.status == 0
    assert {"--data", "--data-dir", "--device"} <= set(re.findall(r"--[a-z-]+", answer.out))
    assert "(default: auto)" in answer.out
    assert command in ("evaluate", "probe") or "optimiser options" in answer.out


def test_usage(crcd):
    assert crcd("--help").status == 0
    assert crcd().status == 2
    assert crcd("--version").out == f"crcd {__version__}\n"


def test_a_reader_who_stops_reading_is_told_nothing():
    command = f"{sys.executable} -m crcd distill --help | true; exit ${{PIPESTATUS[0]}}"
    answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (1, "")


@pytest.mark.parametrize(("given", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE")])
def test_waiting_threads_leave_their_core_to_others(given, policy):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given
    command = [sys.executable, "-m", "crcd", "evaluate", "--weights", "absent.safetensors"]
    answer = subprocess.run(
        command, env={**environment, "OMP_DISPLAY_ENV": "true"}, capture_output=True, text=True, timeout=120
    )
    assert re.search(rf"OMP_WAIT_POLICY ?= ?'{policy}'", answer.stdout + answer.stderr)  # OpenMP's own word
