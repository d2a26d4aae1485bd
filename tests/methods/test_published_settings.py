"""Methods begin with their authors' settings, CRCD with those that docs/worth.md names; no change of one is silent."""

from dataclasses import fields

import pytest

from crcd.errors import CrcdError
from crcd.methods import METHODS
from crcd.train.config import DistillConfig

USUAL = {
    "kd": {"weight": 0.9, "temperature": 4.0, "standardise": False, "ce_weight": 0.1},
    "dkd": {"alpha": 1.0, "beta": 8.0, "temperature": 4.0, "warm_up_epochs": 20, "standardise": False},
    "dist": {"beta": 1.0, "gamma": 1.0, "temperature": 4.0},
    "wttm": {"weight": 4.0, "exponent": 0.2},
    "luminet": {"alpha": 33.0, "temperature": 4.0, "ce_weight": 2.0, "warm_up_epochs": 20},
    "fitnet": {"weight": 100.0, "stage": 2},
    "at": {"weight": 1000.0},
    "nst": {"weight": 50.0},
    "vid": {"weight": 1.0},
    "reviewkd": {"weight": 5.0, "warm_up_epochs": 20},
    "catkd": {"weight": 15.0, "side": 2, "normalise": False},
    "sp": {"weight": 3000.0},
    "cc": {"weight": 100.0, "gamma": 0.4, "order": 2},
    "rkd": {"distance_weight": 25.0, "angle_weight": 50.0},
    "pkt": {"weight": 30000.0},
    "srrl": {"weight": 1.0},
    "fsp": {"first_stage_epochs": 30, "first_stage_lr": None},
    "ab": {"first_stage_epochs": 30, "first_stage_lr": None, "margin": 1.0},
    "ft": {"first_stage_epochs": 30, "first_stage_lr": 0.01, "weight": 200.0, "rate": 0.5},
    "itrd": {"correlation_weight": 2.0, "information_weight": 1.0, "alpha": 1.01},
    "crd": {"weight": 0.8, "temperature": 0.07, "dim": 128, "negatives": 16384, "bank_momentum": 0.5},
    "crcd": {"temperature": 0.1, "source": "queue", "negatives": 4096, "gradient_weight": 0.1, "sample_share": 0.5},
}
"""The settings that change numbers; of ``crd`` and ``crcd`` those that are written down elsewhere, too."""
WEIGHTS = [(name, setting) for name, own in USUAL.items() for setting in own if setting.endswith("weight")]


@pytest.mark.parametrize("name", METHODS)
def test_usual_settings(name):
    config = getattr(DistillConfig(), name)
    own = {field.name: getattr(config, field.name) for field in fields(config)}
    assert own.items() >= USUAL[name].items()
    if name not in ("crd", "crcd"):
        assert own == USUAL[name]


@pytest.mark.parametrize(("name", "setting"), WEIGHTS)
def test_a_weight_may_be_none_but_not_below(name, setting):
    kind = type(getattr(DistillConfig(), name))
    assert getattr(kind(**{setting: 0.0}), setting) == 0
    with pytest.raises(CrcdError, match=f"{setting} is -0.5"):
        kind(**{setting: -0.5})
