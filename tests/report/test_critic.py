import shutil
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from crcd.errors import CrcdError
from crcd.relation.config import RelationConfig
from crcd.report import critic
from crcd.report.critic import critic_cosines
from crcd.report.networks import TEACHER, Place, read_networks
from crcd.report.runs import find_runs
from crcd.report.subject import subjects
from crcd.train.distill import distill


def cosines(source, learner):
    readings = source.readings
    networks = readings.networks
    return critic_cosines(source.subject, learner, networks[learner], networks[TEACHER], readings.labels)


def embedded(state, head, x):
    weight, bias = state[f"{head}.linear.weight"], state.get(f"{head}.linear.bias")
    if bias is None:
        x = F.normalize(x, dim=1)
    return F.normalize(F.linear(x, weight, bias), dim=1)


@pytest.mark.parametrize("element", ["feature", "gradient"])
def test_against_loops_over_anchors_and_images(source, monkeypatch, element):
    monkeypatch.setattr(critic, "IMAGES", 16)
    readings, run = source.readings, source.subject.run("crcd+kd")
    index = torch.linspace(0, len(readings.labels) - 1, 16).long()
    state = torch.load(run.folder.checkpoint, weights_only=True)["learners"]["crcd+kd"]["method"]
    prefix = f"methods.crcd.relation.{element}."
    heads = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    s, t = (
        embedded(heads, f"{who}_head", getattr(readings.networks[name], f"{element}_ND")[index])
        for who, name in (("student", "crcd+kd"), ("teacher", TEACHER))
    )
    labels = readings.labels[index]
    positive, negative = [], []
    for a in range(16):
        for b in range(16):
            if a == b:
                continue
            relation = F.normalize(s[b] - t[a], dim=0, eps=1e-3)
            keys = F.normalize(t - t[a], dim=1, eps=1e-3)
            positive.append(relation @ keys[b])
            negative += [relation @ keys[m] for m in range(16) if m != a and labels[m] != labels[b]]
    found = cosines(source, "crcd+kd")[element]
    assert (len(found.positive), len(found.negative)) == (len(positive), len(negative))
    torch.testing.assert_close(found.positive.sort().values, torch.stack(positive).sort().values, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.negative.sort().values, torch.stack(negative).sort().values, atol=1e-5, rtol=0)
    for share in found.shares().values():
        assert float(share.sum()) == pytest.approx(100, abs=1e-3)


def test_other_kinds_of_relations_are_read_too(settings, tmp_path):
    crcd = RelationConfig(negatives=32, dim=16, hidden=8, relation="mlp", gradient_head="affine")
    distill(replace(settings, methods=("crcd",), crcd=crcd, epochs=1, out=tmp_path / "run"))
    (subject,) = subjects(find_runs([tmp_path / "run"]), None)
    readings = read_networks(subject, Place("cpu"), lambda loader, _: loader.epoch(0))
    student, teacher = readings.networks["crcd"], readings.networks[TEACHER]
    found = critic_cosines(subject, "crcd", student, teacher, readings.labels)
    assert found.keys() == {"feature", "gradient"}
    state = torch.load(subject.first.folder.checkpoint, weights_only=True)["learners"]["crcd"]["method"]
    for element, cosine in found.items():
        heads = {name.removeprefix(f"relation.{element}."): tensor for name, tensor in state.items()}
        shrink = 1 if element == "feature" else 32
        s, t = (
            embedded(heads, f"{who}_head", getattr(reading, f"{element}_ND")[:1] / shrink)
            for who, reading in (("student", student), ("teacher", teacher))
        )
        away = torch.linspace(0, len(readings.labels) - 1, 64).long()[1:]
        anchors = embedded(heads, "teacher_head", getattr(teacher, f"{element}_ND")[away] / shrink)
        u_q, v_q, w_q, u_k, v_k, w_k = (
            heads[f"student_term.network.{side}_{name}"] for side in ("query", "key") for name in "uvw"
        )
        query = F.normalize(F.relu(anchors @ u_q.T - s @ v_q.T) @ w_q.T, dim=1)
        key = F.normalize(F.relu(anchors @ u_k.T - t @ v_k.T) @ w_k.T, dim=1)
        torch.testing.assert_close(cosine.positive[:63], (query * key).sum(dim=1), atol=1e-5, rtol=0)


def test_of_samples_alone_samples_are_compared(settings, tmp_path):
    crcd = RelationConfig(negatives=32, dim=16, sample_share=1, gradient_weight=0)
    distill(replace(settings, methods=("crcd",), crcd=crcd, epochs=1, out=tmp_path / "run"))
    (subject,) = subjects(find_runs([tmp_path / "run"]), None)
    readings = read_networks(subject, Place("cpu"), lambda loader, _: loader.epoch(0))
    state = torch.load(subject.first.folder.checkpoint, weights_only=True)["learners"]["crcd"]["method"]
    heads = {name.removeprefix("relation.feature."): tensor for name, tensor in state.items()}
    index = torch.linspace(0, len(readings.labels) - 1, 64).long()
    s, t = (
        embedded(heads, f"{who}_head", readings.networks[name].feature_ND[index])
        for who, name in (("student", "crcd"), ("teacher", TEACHER))
    )
    found = critic_cosines(subject, "crcd", readings.networks["crcd"], readings.networks[TEACHER], readings.labels)
    assert found.keys() == {"feature"}
    torch.testing.assert_close(found["feature"].positive, (s * t).sum(dim=1), atol=1e-5, rtol=0)
    assert len(found["feature"].negative) == (readings.labels[index][:, None] != readings.labels[index]).sum()


def test_a_head_that_is_standardised_takes_the_images_that_are_shown(settings, tmp_path):
    crcd = RelationConfig(negatives=32, teacher_head="standardised", sample_share=1, gradient_weight=0)
    distill(replace(settings, methods=("crcd",), crcd=crcd, epochs=1, out=tmp_path / "run"))
    (subject,) = subjects(find_runs([tmp_path / "run"]), None)
    readings = read_networks(subject, Place("cpu"), lambda loader, _: loader.epoch(0))
    student, teacher = readings.networks["crcd"], readings.networks[TEACHER]
    state = torch.load(subject.first.folder.checkpoint, weights_only=True)["learners"]["crcd"]["method"]
    heads = {name.removeprefix("relation.feature."): tensor for name, tensor in state.items()}
    index = torch.linspace(0, len(readings.labels) - 1, 64).long()
    s = embedded(heads, "student_head", student.feature_ND[index])
    f_t = teacher.feature_ND
    t = F.normalize(((f_t - f_t.mean(dim=0)) / f_t.std(dim=0, correction=0).clamp_min(1e-6))[index], dim=1)
    found = critic_cosines(subject, "crcd", student, teacher, readings.labels)
    torch.testing.assert_close(found["feature"].positive, (s * t).sum(dim=1), atol=1e-5, rtol=0)


def test_learners_without_relations_and_runs_without_their_heads(source, runs, tmp_path):
    with pytest.raises(CrcdError, match="kd has no relations"):
        cosines(source, "kd")
    shutil.copytree(runs[0], tmp_path / "run")
    (tmp_path / "run" / "methods" / "crcd+kd.safetensors").unlink()
    (subject,) = subjects(find_runs([tmp_path / "run"]), None)
    networks = source.readings.networks
    with pytest.raises(CrcdError, match=r"methods/crcd\+kd.safetensors: no such file"):
        critic_cosines(subject, "crcd+kd", networks["crcd+kd"], networks[TEACHER], source.readings.labels)
