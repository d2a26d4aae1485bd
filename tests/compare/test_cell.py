from dataclasses import replace

from crcd.compare.cell import Cell, Setup
from crcd.methods.kd import KDConfig
from crcd.recipes import with_recipe
from crcd.train.config import DistillConfig

DIGITS = with_recipe(DistillConfig(), "digits")


def test_the_same_experiment_is_one_cell_however_it_is_written():
    cell = Cell.of(DIGITS, "crcd+kd", None)
    assert Cell.of(DIGITS, "kd+crcd", None) == cell
    assert Cell.of(DIGITS, "crcd+kd@kd.weight=0.9", None) == cell
    assert (
        Cell.of(replace(DIGITS, workers=2, methods=("ce",), dkd=replace(DIGITS.dkd, alpha=7.0)), "crcd+kd", None)
        == cell
    )
    by_flag = replace(DIGITS, kd=KDConfig(weight=3.0))
    assert Cell.of(by_flag, "crcd+kd", None) == Cell.of(DIGITS, "crcd+kd@kd.weight=3", None)


def test_whatever_has_an_effect_makes_another_cell():
    cells = {
        Cell.of(DIGITS, "kd", None),
        Cell.of(DIGITS, "ce", None),
        Cell.of(DIGITS, "kd@kd.weight=1", None),
        Cell.of(replace(DIGITS, seed=1), "kd", None),
        Cell.of(replace(DIGITS, epochs=3), "kd", None),
        Cell.of(replace(DIGITS, teacher_lr=0.1), "kd", None),
        Cell.of(DIGITS, "kd", "digest of weights"),
    }
    assert len(cells) == 7


def test_a_setup_is_told_by_what_differs_from_its_recipe(tmp_path):
    config = replace(
        DIGITS,
        epochs=3,
        milestones=(0.5, 0.9),
        methods=("ce", "kd", "crcd+kd"),
        kd=KDConfig(weight=2.0),
        seed=4,
        workers=1,
    )
    setup = Setup.of(config, "digits")
    assert setup.label == "digits epochs=3 milestones=[0.5 0.9]"
    assert setup.methods == ("ce", "kd@kd.weight=2.0", "crcd+kd@kd.weight=2.0")
    for own, mine in zip(config.methods, setup.methods, strict=True):
        assert setup.config.method_settings(mine) == config.method_settings(own)
    own = tmp_path / "own.yaml"
    own.write_text("base: digits\n")
    assert Setup.of(DIGITS, f"{own}+ablation/relation").label == "own+ablation/relation"
    assert "/" not in replace(setup, label="cifar100/resnet56-resnet20 precision=bf16").slug


def test_two_spellings_of_one_method_are_one_learner():
    assert Setup.of(replace(DIGITS, methods=("kd", "kd@kd.weight=0.9")), "digits").methods == ("kd",)
