from dataclasses import fields, replace
from pathlib import Path

import pytest

from crcd.errors import CrcdError
from crcd.methods import METHODS
from crcd.methods.kd import KDConfig
from crcd.methods.names import join_name, split_name
from crcd.train.config import DistillConfig, TrainOptions
from crcd.train.options import parse_duration


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_its_settings(name):
    settings = DistillConfig().method_settings(name)
    assert list(settings) == [name]
    assert isinstance(settings[name], METHODS[name][1])


def test_a_name_changes_settings_of_its_methods_alone():
    config = DistillConfig(kd=KDConfig(weight=3.0))
    name = "crcd+kd@crcd.relation=mlp,crcd.anchors=null,kd.temperature=2,kd.standardise=true"
    crcd, kd = config.method_settings(name).values()
    assert kd == KDConfig(weight=3.0, temperature=2.0, standardise=True)
    assert crcd == replace(config.crcd, relation="mlp")
    assert config.method_settings("ce") == {}
    parts, changes = split_name(name)
    assert join_name(parts, changes) == name


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"batch_size": 1}, "--batch-size is 1"),
        ({"holdout": 1.0}, "--holdout is 1.0"),
        ({"epochs": 0}, "--epochs is 0"),
        ({"lr": -1.0}, "--lr is -1.0"),
        ({"lr": float("nan")}, "--lr is nan"),
        ({"warmup_epochs": 3, "epochs": 3}, "--warmup-epochs is 3"),
        ({"momentum": 0.0, "nesterov": True}, "--momentum is 0.0"),
        ({"beta2": 1.0}, "--beta2 is 1.0"),
        ({"label_smoothing": 1.0}, "--label-smoothing is 1.0"),
        ({"ema": 0.0}, "--ema is 0.0"),
        ({"layer_decay": 1.5}, "--layer-decay is 1.5"),
        ({"clip_norm": 0.0}, "--clip-norm is 0.0"),
        ({"batch_parts": 0}, "--batch-parts is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"time_budget": "soon"}, "--time-budget is soon"),
        ({"methods": ()}, "--methods is empty"),
        ({"methods": ("kd", "kd")}, "--methods is kd kd"),
        ({"methods": ("kt",)}, "unknown method 'kt': did you mean "),
        ({"methods": ("crcd+kt",)}, "unknown method 'kt': did you mean "),
        ({"methods": ("kd+kd",)}, "method 'kd\\+kd' names one method twice"),
        ({"methods": ("ce+kd",)}, "method 'ce\\+kd': cross-entropy is part of every method"),
        ({"methods": ("ce,kd",)}, "--methods ce kd"),
        ({"methods": ("ce@ce.weight=1",)}, "cross-entropy is part of every method and has no settings"),
        ({"methods": ("kd@temperature=2",)}, "'temperature=2' is no change; write METHOD.SETTING=VALUE"),
        ({"methods": ("kd@",)}, "method 'kd@': '' is no change"),
        ({"methods": ("kd@sp.weight=2",)}, "changes 'sp', which is not one of kd"),
        ({"methods": ("kd@kd.weight=2,kd.weight=3",)}, "sets kd.weight twice"),
        ({"methods": ("kd@kd.tau=2",)}, "method 'kd@kd.tau=2': unknown setting 'tau'"),
        ({"methods": ("kd@kd.weight=[",)}, "method 'kd@kd.weight=\\[': setting 'weight' is '\\['"),
        ({"methods": ("kd@kd.weight=-1",)}, "kd.weight is -1.0: give a weight of 0 or more"),
        ({"crop_scale": (0.5, 0.2)}, "--crop-scale is (0.5, 0.2"),
        ({"crop_scale": (0.5,)}, "--crop-scale is (0.5,"),
        ({"rand_augment": (2, 31)}, "--rand-augment is (2, 31"),
        ({"erasing": 1.5}, "--erasing is 1.5: give a probability from 0 to 1"),
        ({"mixup": -1.0}, "--mixup is -1.0"),
        ({"mix_prob": 0.0}, "--mix-prob is 0.0"),
        ({"mixup": 0.2, "teacher_views": 2}, "--teacher-views has no answers for mixed images"),
        ({"mixup": 0.2, "methods": ("ce", "dkd")}, "method 'dkd' needs the one class of each image"),
        ({"cutmix": 1.0, "methods": ("crd+kd",)}, "method 'crd\\+kd' needs the one class of each image"),
        ({"cutmix": 1.0, "mix_prob": 1.0}, "--mix-prob is 1: without images"),
        ({"student_images": 0}, "--student-images is 0"),
        ({"teacher_lr": 0.0}, "--teacher-lr is 0.0"),
        ({"teacher_seed": -1}, "--teacher-seed is -1: give a number from 0"),
        ({"distill_until": -1.0}, "--distill-until is -1.0"),
        ({"distill_until": 0.05, "epochs": 1}, "--distill-until is 0.05: of the 1 of --epochs this share is less"),
        ({"milestones": (0.2, 0.9), "epochs": 2}, "--milestones is 0.2: of the 2 of --epochs this share is less"),
        ({"milestones": (0.4,), "teacher_epochs": 1}, "--milestones is 0.4: of the 1 of --teacher-epochs this share"),
        ({"teacher_views": 0}, "--teacher-views is 0"),
        ({"teacher_cache": Path("c")}, "--teacher-cache is c: give --teacher-views too"),
        (
            {"teacher_views": 2, "crop_padding": 0, "flip": False},
            "--teacher-views is 2: without augmentation an image has one view",
        ),
        ({"teacher_weights": Path("t.pt"), "teacher_epochs": 3}, "--teacher-weights and --teacher-epochs exclude each"),
        ({"teacher_weights": Path("t.pt"), "teacher_seed": 0}, "--teacher-weights and --teacher-seed exclude each"),
        ({"teacher_pretrained": True, "teacher_seed": 0}, "--teacher-pretrained and --teacher-seed exclude each"),
    ],
)
def test_senseless_settings_are_named(settings, named):
    with pytest.raises(CrcdError, match=named.replace("(", r"\(")):
        DistillConfig(**settings)


def test_shares_of_one_epoch_or_more_are_taken():
    DistillConfig(epochs=2, distill_until=0.3, milestones=(0.3,))
    DistillConfig(epochs=1, milestones=(0.2,), schedule="cosine")


def test_teacher_shares_all_settings_but_its_epochs_and_folder():
    config = DistillConfig(epochs=7, lr=0.3, seed=5, teacher="vgg8", teacher_epochs=2, resume=Path("run"))
    own = config.for_teacher(Path("run/teacher"))
    assert (own.model, own.epochs, own.out, own.resume) == ("vgg8", 2, Path("run/teacher"), None)
    changed = {"epochs", "out", "resume"}
    assert replace(config, freeze=("fc",), layer_decay=0.5).for_teacher(Path("run/teacher")) == own
    assert all(getattr(own, f.name) == getattr(config, f.name) for f in fields(TrainOptions) if f.name not in changed)


def test_a_teacher_may_begin_as_a_student_does():
    config = DistillConfig(layer_decay=0.5, freeze=("fc",), teacher_finetune=True)
    assert config.for_teacher(None) == replace(
        DistillConfig(layer_decay=0.5).for_teacher(None), pretrained=True, layer_decay=0.5
    )
    assert not DistillConfig(student_pretrained=True).for_teacher(None).pretrained


def test_teacher_epochs_default_to_the_students():
    assert DistillConfig(epochs=7).for_teacher(None).epochs == 7
    assert DistillConfig(lr=0.01).for_teacher(None).lr == 0.01


def test_the_teacher_may_have_a_rate_of_its_own():
    assert DistillConfig(lr=0.01, teacher_lr=0.05).for_teacher(None).lr == 0.05


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5", 1.5), ("90s", 90), ("9m", 540), ("1h30m", 5400), ("1h1m1s", 3661)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-3", "9 minutes", "m", "1..5s", "3m2h", "."])
def test_what_is_no_duration(text):
    with pytest.raises(CrcdError, match="--time-budget"):
        parse_duration(text)
