"""Several methods in one learner."""

import pytest
import torch
from torch import Tensor, nn

from crcd.data import Batch
from crcd.methods import build_method, method_parts
from crcd.methods.combined import Combined
from crcd.methods.crcd import CRCD
from crcd.methods.kd import KD, KDConfig
from crcd.methods.method import Method
from crcd.relation import View
from crcd.relation.config import RelationConfig

LABELS = torch.arange(40) % 4
SETTINGS = {"kd": KDConfig(weight=0.3), "crcd": RelationConfig(dim=8, negatives=10)}


def view(width: int, seed: int) -> View:
    torch.manual_seed(seed)
    classifier = nn.Linear(width, 4)
    feature = torch.randn(6, width, requires_grad=True)
    return View(classifier(feature), feature, classifier)


@pytest.fixture
def batch() -> Batch:
    return Batch(torch.zeros(6, 1, 8, 8), LABELS[:6], torch.arange(6))


def terms_of(method: Method, batch: Batch) -> dict[str, Tensor]:
    torch.manual_seed(1)
    teacher = view(12, 2)
    teacher = View(teacher.logits.detach(), teacher.feature.detach(), teacher.classifier)
    return method(view(10, 3), teacher, batch)


def built(name: str) -> Method:
    torch.manual_seed(0)
    return build_method({part: SETTINGS[part] for part in method_parts(name)}, view(10, 3), view(12, 2), LABELS)


def test_a_sum_is_the_sum_of_its_methods(batch):
    both = terms_of(built("crcd+kd"), batch)
    crcd, kd = terms_of(built("crcd"), batch), terms_of(built("kd"), batch)
    torch.testing.assert_close(both["loss"], crcd["loss"] + kd["loss"])
    assert both.keys() == crcd.keys() | kd.keys()
    both["loss"].backward()


def test_parameters_and_memories_of_all_are_its_own():
    both, crcd = built("crcd+kd"), built("crcd")
    assert len(list(both.parameters())) == len(list(crcd.parameters())) > 0
    other = built("crcd+kd")
    other.load_state_dict(both.state_dict())
    assert "methods.crcd.relation.feature.source.teacher_KD" in both.state_dict()


def test_one_name_is_that_method():
    assert type(built("kd")) is KD
    assert type(built("crcd")) is CRCD
    assert type(built("kd+crcd")) is Combined
    assert method_parts("kd+crcd") == ["kd", "crcd"]


def test_the_largest_weight_of_cross_entropy_holds():
    assert built("kd").ce_weight == KDConfig().ce_weight == 0.1
    assert built("crcd+kd").ce_weight == 1
    assert Combined({"kd": KD(KDConfig(ce_weight=0.25)), "other": KD(KDConfig())}).ce_weight == 0.25
