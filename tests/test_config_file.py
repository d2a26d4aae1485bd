from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from crcd.config_file import fill, fingerprint, read_yaml, to_plain
from crcd.errors import CrcdError
from crcd.methods.kd import KDConfig
from crcd.train.config import DistillConfig


def test_settings_come_back_from_yaml_as_they_were():
    config = DistillConfig(
        methods=("kd",), data_dir=Path("/data"), milestones=(0.5, 7), kd=KDConfig(weight=1.0), image_size=16
    )
    text = yaml.safe_dump(to_plain(config))
    assert fill(DistillConfig(), yaml.safe_load(text), Path("config.yaml")) == config


def test_what_is_not_named_stays():
    config = fill(DistillConfig(lr=0.3), {"epochs": 3, "kd": {"temperature": 2}}, Path("r.yaml"))
    assert (config.lr, config.epochs, config.kd) == (0.3, 3, KDConfig(temperature=2.0))


def test_numbers_that_yaml_takes_for_text():
    assert fill(DistillConfig(), yaml.safe_load("weight_decay: 5e-4"), Path("r.yaml")).weight_decay == 5e-4


@pytest.mark.parametrize(
    ("plain", "named"),
    [
        ({"epoks": 3}, "r.yaml: unknown setting 'epoks': did you mean epochs"),
        ({"kd": {"weigth": 1}}, "unknown setting 'weigth': did you mean weight"),
        ({"epochs": "many"}, "setting 'epochs' is 'many': give a whole number"),
        ({"epochs": 3.5}, "setting 'epochs' is 3.5: give a whole number"),
        ({"lr": "high"}, "setting 'lr' is 'high': give a number"),
        ({"flip": 1}, "setting 'flip' is 1: give true or false"),
        ({"schedule": "linear"}, "setting 'schedule' is 'linear': give step or cosine"),
        ({"milestones": 3}, "setting 'milestones' is 3: give a list"),
        ({"methods": "kd"}, "setting 'methods' is 'kd': give a list"),
        ({"kd": 3}, "setting 'kd' is 3: give a mapping"),
        ({"image_size": "big"}, "setting 'image_size' is 'big': give a whole number"),
        ({"batch_size": 1}, "--batch-size is 1"),
    ],
)
def test_faults_are_named(plain, named):
    with pytest.raises(CrcdError) as error:
        fill(DistillConfig(), plain, Path("r.yaml"))
    assert named in str(error.value)


@pytest.mark.parametrize("text", ["[1, 2]", "", "a: b: c", "\x00"])
def test_a_file_without_settings(tmp_path, text):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(CrcdError, match=r"r\.yaml") as error:
        read_yaml(path)
    assert "\n" not in str(error.value)


def test_an_absent_file(tmp_path):
    with pytest.raises(CrcdError, match="cannot be read"):
        read_yaml(tmp_path / "r.yaml")


def test_fingerprint_tells_settings_with_an_effect_on_numbers():
    config = DistillConfig()
    assert fingerprint(replace(config, out=Path("x"), device="cpu", time_budget="3s")) == fingerprint(config)
    assert fingerprint(replace(config, kd=KDConfig(weight=0.5))) != fingerprint(config)
    assert fingerprint(replace(config, seed=1)) != fingerprint(config)
