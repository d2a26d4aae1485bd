"""Methods of the user's own code, by ``package.module:Class``."""

import pytest
import torch

import crcd
from crcd.errors import CrcdError
from crcd.methods import find_method, method_parts, uses_maps
from crcd.methods.kd import KD, KDConfig
from crcd.train.config import DistillConfig
from logit_views import make_batch, student_view, teacher_view

CODE = """
from __future__ import annotations
from dataclasses import dataclass
from typing import Any, Self
import crcd
from torch.nn import functional as F

@dataclass(frozen=True)
class Settings:
    weight: float = 2.0

class Logits(crcd.Method):
    uses_maps = True
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight
    @classmethod
    def build(cls, config: Settings, student: Any, teacher: Any, labels_N: Any) -> Self:
        return cls(config.weight)
    def forward(self, student: Any, teacher: Any, batch: Any) -> Any:
        loss = self.weight * F.mse_loss(student.logits, teacher.logits.detach())
        return {"loss": loss, "mse": loss.detach()}

class Plain(Logits):
    @classmethod
    def build(cls, config, student, teacher, labels_N):
        return cls(1.0)

@dataclass(frozen=True)
class Needy:
    weight: float

class Demanding(Logits):
    @classmethod
    def build(cls, config: Needy, student: Any, teacher: Any, labels_N: Any) -> Self:
        return cls(config.weight)
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "mine_to_test").mkdir()
    (tmp_path / "mine_to_test" / "terms.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))


NAME = "mine_to_test.terms:Logits"


def build(name: str) -> crcd.Method:
    return crcd.build_method(name, student_view(), teacher_view(), torch.arange(4))


def loss(method: crcd.Method) -> float:
    return method(student_view(), teacher_view(), make_batch())["loss"].item()


def test_it_is_built_with_its_settings_and_adds_up():
    assert method_parts(f"{NAME}+kd") == [NAME, "kd"]
    assert uses_maps(NAME)
    assert find_method("kd") == (KD, KDConfig)
    plain = loss(build(NAME))
    assert plain == pytest.approx(2 * torch.nn.MSELoss()(student_view().logits, teacher_view().logits).item())
    assert loss(build(f"{NAME}@{NAME}.weight=1")) == pytest.approx(plain / 2)
    both = build(f"{NAME}+kd@kd.weight=0.5")
    assert loss(both) == pytest.approx(plain + loss(build("kd@kd.weight=0.5")))
    both.load_state_dict(build(f"{NAME}+kd").state_dict())


def test_settings_of_a_run_take_it():
    config = DistillConfig(methods=("ce", f"{NAME}@{NAME}.weight=3"))
    ((name, settings),) = config.method_settings(config.methods[1]).items()
    assert (name, settings.weight) == (NAME, 3.0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mine_to_test.terms:Settings", "is no subclass of crcd.methods.Method"),
        ("mine_to_test.terms:Absent", "module mine_to_test.terms has no 'Absent'"),
        ("mine_to_test.absent:Logits", "No module named 'mine_to_test.absent'"),
        ("mine_to_test.terms:Plain", "give the config of its build a type"),
        ("mine_to_test.terms:Demanding", "setting 'weight' has no default"),
        (f"{NAME}@{NAME}.heat=1", "unknown setting 'heat'"),
    ],
)
def test_what_is_wrong_is_said(name, said):
    with pytest.raises(CrcdError, match=said):
        build(name)
