"""Every method by its name, for two networks, outside the command line."""

from operator import attrgetter

import pytest
import torch
from safetensors.torch import load, save
from torch.nn import functional as F

import crcd
from crcd.errors import CrcdError
from crcd.methods import METHODS, uses_preactivations
from crcd.methods.crcd import CRCD
from crcd.methods.kd import KD, KDConfig
from crcd.methods.method import Method
from crcd.methods.two_stage import TwoStage
from crcd.models import create_model

IMAGE, LABELS = torch.linspace(-1, 1, 40 * 256).sin().view(40, 1, 16, 16), torch.arange(40) % 4
FEWER = {"crd": "@crd.negatives=20", "crcd": "@crcd.negatives=20"}  # their usual number is more than there are images


def viewers(name: str) -> tuple[crcd.Viewer, crcd.Viewer]:
    torch.manual_seed(0)
    student, teacher = (create_model(model, num_classes=4, in_channels=1) for model in ("resnet8", "resnet20"))
    before = uses_preactivations(name)
    return (
        crcd.Viewer(student, crcd.stage_names(student), preactivations=before),
        crcd.Viewer(teacher, crcd.stage_names(teacher), preactivations=before).eval(),
    )


def build(methods: object, student: crcd.Viewer, teacher: crcd.Viewer) -> Method:
    torch.manual_seed(1)
    with torch.no_grad():
        return crcd.build_method(methods, student.eval()(IMAGE[:2]), teacher(IMAGE[:2]), LABELS)


@pytest.mark.parametrize("name", METHODS)
def test_a_student_learns_by_every_method_in_a_loop_of_ones_own(name):
    student, teacher = viewers(name)
    method = build(name + FEWER.get(name, ""), student, teacher)
    student.train()
    index = torch.arange(3, 19)
    batch = crcd.Batch(IMAGE[index], LABELS[index], index)
    with torch.no_grad():
        teacher_view = teacher(batch.image)
    if isinstance(method, TwoStage):
        loss = method.first_stage(lambda: student(batch.image), teacher_view, batch)["loss"]
        loss.backward()
        assert loss.isfinite()
        assert any(p.grad is not None for p in [*student.parameters(), *method.parameters()])
    if method.beside_ce:
        student_view = student(batch.image)
        loss = method(student_view, teacher_view, batch)["loss"]
        (method.ce_weight * F.cross_entropy(student_view.logits, batch.target) + loss).backward()
        assert loss.isfinite()
        assert loss.requires_grad
        assert all(p.grad is not None for p in student.parameters())
    assert all(p.grad is None for p in teacher.parameters())
    again = build(name + FEWER.get(name, ""), student, teacher)
    again.load_state_dict(load(save(method.state_dict())))  # as libraries keep it that write tensors alone
    again_state = again.state_dict()
    assert all(torch.equal(value, again_state[key]) for key, value in method.state_dict().items())


def test_a_name_has_the_default_settings_but_for_what_follows_the_at():
    networks = viewers("kd")
    crcd_, kd = build("crcd+kd@crcd.negatives=7,kd.weight=2", *networks).methods.values()
    assert isinstance(crcd_, CRCD)
    assert crcd_.relation.config == crcd.RelationConfig(negatives=7)
    assert isinstance(kd, KD)
    assert kd.config == KDConfig(weight=2.0)
    assert build("kd", *networks).config == KDConfig()


def test_settings_do_what_the_name_does():
    networks = viewers("crcd")
    by_name = build("crcd@crcd.negatives=7,crcd.dim=8", *networks).state_dict()
    by_settings = build({"crcd": crcd.RelationConfig(negatives=7, dim=8)}, *networks).state_dict()
    assert by_name.keys() == by_settings.keys()
    for name, value in by_name.items():
        torch.testing.assert_close(value, by_settings[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        ("ce", "cross-entropy alone"),
        ({}, "cross-entropy alone"),
        ("crcd+kdd", "did you mean"),
        ("kd@kd.heat=4", "unknown setting 'heat'"),
        ("kd@kd.weight=much", "setting 'weight' is 'much'"),
        ("crcd@crcd.negatives=0", "crcd.negatives is 0"),
    ],
)
def test_what_cannot_be_built_is_said(methods, said):
    with pytest.raises(CrcdError, match=said):
        build(methods, *viewers("kd"))


@pytest.mark.parametrize("name", METHODS)
def test_without_labels_a_method_learns_from_a_stream_or_says_what_it_lacks(name):
    student, teacher = viewers(name)
    with torch.no_grad():
        teacher_view = teacher(IMAGE[:16])
        views = student.eval()(IMAGE[:2]), teacher(IMAGE[:2])
    if name in {"crd", "dkd", "luminet", "reviewkd"}:
        with pytest.raises(CrcdError, match=f"method '{name}' needs the class of every training sample: pass labels"):
            crcd.build_method(name, *views)
        return
    method = crcd.build_method(f"{name}+kd" if name == "crcd" else name, *views)
    if not method.beside_ce:
        return
    student.train()
    for _ in range(2):
        terms = method(student(IMAGE[:16]), teacher_view, crcd.Batch(IMAGE[:16], LABELS[:16], None))
    assert terms["loss"].isfinite()
    if name == "crcd":
        assert terms["mi_bound"] != 0
        assert method.methods.crcd.relation.feature.source.next_row == 32


def test_without_labels_there_is_no_bank():
    views = [viewer.eval()(IMAGE[:2]) for viewer in viewers("crcd")]
    assert crcd.build_method("crcd@crcd.source=batch", *views).relation.config.source == "batch"
    for methods in ("crcd@crcd.source=bank", {"crcd": crcd.RelationConfig(source="bank")}):
        with pytest.raises(CrcdError, match="pass labels, or set source to queue"):
            crcd.build_method(methods, *views)


def test_public_names_are_all_there():
    assert all(getattr(crcd, name).__name__ == name for name in crcd.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Wiewer'"):
        attrgetter("Wiewer")(crcd)
