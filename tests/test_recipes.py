"""Recipes: named, laid one over the other, and fit to run."""

import pytest

from crcd.errors import CrcdError
from crcd.methods import METHODS
from crcd.recipes import recipe_names, with_recipe
from crcd.train.config import DistillConfig

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
