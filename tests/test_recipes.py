"""Recipes: named, laid one over the other, and fit to run."""

from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch

from crcd.cli.compare import plan
from crcd.data import DataSet, TensorImages
from crcd.errors import CrcdError
from crcd.methods import METHODS
from crcd.models import create_model
from crcd.recipes import recipe_names, with_recipe
from crcd.relation.bank import Bank
from crcd.train.config import DistillConfig
from crcd.train.distill import distill
from crcd.train.stop import RunStopped

PAIRS = [name for name in recipe_names() if name.startswith("cifar100/")]
SLOW_LEARNERS = {"mobilenetv2", "shufflenetv1", "shufflenetv2"}
"""Students for which CRD's protocol takes the lower learning rate."""


def recipe(name: str) -> DistillConfig:
    return with_recipe(DistillConfig(), name)


def test_the_pairs_of_the_tables_share_their_protocol():
    assert len(PAIRS) == 13
    for name in PAIRS:
        config = recipe(name)
        assert name == f"cifar100/{config.teacher}-{config.student}"
        assert (config.data, config.epochs, config.batch_size, config.weight_decay) == ("cifar100", 240, 64, 5e-4)
        assert config.lr == (0.01 if config.student in SLOW_LEARNERS else 0.05)
        assert config.for_teacher(None).lr == 0.05
        assert [round(m * config.epochs) for m in config.milestones] == [150, 180, 210]


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("ablation/")])
def test_an_ablation_changes_one_thing_and_has_a_baseline(name):
    config = recipe(name)
    assert config.teacher == "resnet32x4"
    if name == "ablation/schedule":
        assert round(config.distill_until * 250) == 240
        return
    assert config.methods[0] == "kd"
    assert len(config.methods) >= 3
    settings = [str(config.method_settings(learner)) for learner in config.methods]
    assert len(set(settings)) == len(settings)


def test_a_recipe_over_another_keeps_what_it_does_not_name():
    digits, both = recipe("digits"), recipe("digits+ablation/relation")
    assert both.methods == recipe("ablation/relation").methods
    assert (both.data, both.epochs, both.student_images) == (digits.data, digits.epochs, digits.student_images)
    assert all(getattr(both, name) == getattr(digits, name) for name in METHODS)


def test_a_file_of_ones_own_stands_on_a_recipe(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("base: digits\nepochs: 3\nkd:\n  weight: 2\n")
    config = recipe(str(own))
    assert (config.data, config.epochs, config.kd.weight) == ("digits", 3, 2.0)


def test_mistakes_name_the_file(tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(f"base: {second}\n")
    second.write_text(f"base: {first}\n")
    with pytest.raises(CrcdError, match="its own base"):
        recipe(str(first))
    second.write_text("base: digits\nepoch: 3\n")
    with pytest.raises(CrcdError, match=r"second\.yaml: unknown setting 'epoch': did you mean epochs"):
        recipe(str(first))
    with pytest.raises(CrcdError, match="unknown recipe 'ablation/relations': did you mean ablation/relation"):
        recipe("digits+ablation/relations")


def test_recipes_of_a_folder_are_for_some_thousand_images():
    """Both may be run on 1,500 images of two classes; only the one begins with weights, the teacher's training too."""
    scratch, finetune = recipe("folder"), recipe("folder-finetune")
    for config in (scratch, finetune):
        assert (config.data, config.image_size, config.crop, config.warmup_epochs) == (
            "folder",
            224,
            "random-resized",
            5,
        )
        labels = torch.arange(3000) % 2
        for settings in (config.crcd, config.crd):
            Bank(labels, (8, 8), settings.negatives, exact=True, shared=True, momentum=0.5, unit=True)
    assert not scratch.student_pretrained
    assert not scratch.for_teacher(None).pretrained
    assert finetune.student_pretrained
    teacher = finetune.for_teacher(None)
    assert (teacher.pretrained, teacher.optimizer, teacher.layer_decay) == (True, "adamw", 0.75)
    assert finetune.lr < scratch.lr / 10
    for network in (finetune.teacher, finetune.student):
        assert timm.is_model_pretrained(network.removeprefix("timm/"))


@pytest.mark.parametrize("name", recipe_names())
def test_no_recipe_erases(name):
    assert recipe(name).erasing == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_runs(name, tmp_path, monkeypatch):
    """On noise, until the first step of the teacher's training: every learner took one of its own before that."""
    config = recipe(name)
    size = config.image_size or {"stl10": 96, "tiny-imagenet": 64, "folder": 224}.get(config.data, 32)
    count, classes = (200, 4) if size == 224 else (20_000, 100) if config.data != "digits" else (1437, 10)
    channels = 1 if config.data == "digits" else 3
    noise = torch.randint(256, (count, channels, size, size), dtype=torch.uint8)
    images = TensorImages(noise, torch.arange(count) % classes)
    data = DataSet(config.data, images, images, tuple(map(str, range(classes))), (0.5,) * channels, (0.3,) * channels)
    monkeypatch.setattr("crcd.train.material.load_dataset", lambda *_, **__: data)
    monkeypatch.setattr("crcd.train.build.pretrained_model", lambda name: create_model(name, 1000, 3))
    if size == 224:
        config = replace(config, crcd=replace(config.crcd, negatives=100), crd=replace(config.crd, negatives=100))
    small = replace(config, batch_size=4, workers=0, warmup_epochs=0.0, time_budget="0.001s", device="cpu")
    with pytest.raises(RunStopped, match="after step 1 of training"):
        distill(replace(small, out=tmp_path / "run"))


def test_the_queue_of_the_results_can_be_run(tmp_path):
    queue = Path(__file__).parents[1] / "results" / "queue.yaml"
    config, comparisons, _ = plan([str(queue), "--data-dir", str(tmp_path), "--out", str(tmp_path / "out")])
    assert config.recipe == "cifar100/resnet56-resnet20"
    assert all(len(comparison.cells()) >= 4 for comparison in comparisons)
