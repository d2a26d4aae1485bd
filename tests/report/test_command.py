from dataclasses import replace
from pathlib import Path

import pytest

from crcd.cli.arguments import read_arguments
from crcd.errors import CrcdError
from crcd.methods.kd import KDConfig
from crcd.recipes import with_recipe
from crcd.relation.config import RelationConfig
from crcd.report.command import distill_command
from crcd.train.config import DistillConfig

DIGITS = replace(with_recipe(DistillConfig(), "digits"), recipe="digits")


@pytest.mark.parametrize(
    "config",
    [
        DIGITS,
        replace(DIGITS, methods=("ce", "crcd+kd@kd.weight=1"), seed=4, keep_going=True, lr=1e-5, weight_decay=0.0),
        replace(DIGITS, milestones=(0.5, 90.0), crop_scale=(0.2, 1.0), capture=False, nesterov=True, clip_norm=5.0),
        replace(
            DIGITS,
            kd=KDConfig(temperature=2.0, standardise=True),
            crcd=RelationConfig(source="bank", shared=False, anchors=7),
        ),
        replace(DIGITS, student_images=None, image_size=None, freeze=("body.stem", "body.stage1")),
        replace(DIGITS, teacher_weights=Path("/a folder/it's.safetensors"), data="folder", data_dir=Path("/photos")),
        replace(with_recipe(DistillConfig(), "digits+ablation/relation"), recipe="digits+ablation/relation"),
    ],
)
def test_the_command_gives_the_settings_again(config):
    words = distill_command(config)
    assert words[:2] == ["crcd", "distill"]
    assert read_arguments(DistillConfig(), lambda filled: filled, words[2:], "crcd distill") == config


@pytest.mark.parametrize(
    "config",
    [
        DistillConfig(epochs=3, teacher="resnet8"),
        DistillConfig(data="cifar100", data_dir=Path("/data"), crop_padding=2),
        DistillConfig(data="cifar10", data_dir=Path("/data"), kd=KDConfig(temperature=2.0)),
        DistillConfig(data="shards", data_dir=Path("/data"), student_images=500),
    ],
)
def test_settings_without_a_recipe_are_given_again_too(config):
    words = distill_command(config)
    again = read_arguments(DistillConfig(), lambda filled: filled, words[2:], "crcd distill")
    assert replace(again, recipe=None) == config


def test_what_is_of_a_place_or_a_sitting_is_left_out():
    config = replace(DIGITS, out=Path("runs/x"), time_budget="9m", resume=Path("runs/x"))
    assert distill_command(config) == ["crcd", "distill", "--recipe", "digits"]


def test_a_recipe_that_is_gone(tmp_path):
    with pytest.raises(CrcdError, match="cannot be read"):
        distill_command(replace(DIGITS, recipe=str(tmp_path / "gone.yaml")))
