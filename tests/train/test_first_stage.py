"""The first stage of methods that have one: what it trains, what it leaves, and what comes after it."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from crcd.data import Batch
from crcd.errors import CrcdError
from crcd.methods.combined import Combined
from crcd.methods.fsp import FSP, FSPConfig
from crcd.methods.ft import FTConfig
from crcd.methods.kd import KD, KDConfig
from crcd.methods.two_stage import TwoStage, TwoStageConfig
from crcd.models import Viewer, create_model, stage_names
from crcd.train.config import DistillConfig
from crcd.train.distill import distill
from crcd.train.first_stage import first_stages
from crcd.train.learner import Learner
from crcd.train.options import ComputeOptions
from crcd.train.randomness import RandomStream
from crcd.train.run_folder import RunFolder
from crcd.train.stop import RunStopped
from crcd.train.teacher import Teacher

CPU = torch.device("cpu")
CONFIG = DistillConfig(lr=0.1, distill_until=0.05, weight_decay=0.1, warmup_epochs=1, schedule="cosine", compile=True)


class Hint(TwoStage):
    """Its first stage moves the student's first stage to where the teacher's is."""

    uses_maps = True
    beside_ce = False

    def __init__(self, epochs=2, lr=None):
        super().__init__(TwoStageConfig(epochs, lr))
        self.connector = nn.Conv2d(16, 16, 1)

    @classmethod
    def build(cls, config, student, teacher, labels_N):
        return cls()

    def forward(self, student, teacher, batch):
        loss = (self.connector(student.maps["stage1"]) - teacher.maps["stage1"]).square().mean()
        return {"loss": loss, "hint": loss.detach()}


class Factor(TwoStage):
    """Its first stage is the teacher's alone, and trains one layer of two."""

    def __init__(self):
        super().__init__(TwoStageConfig(3, 0.01))
        self.reader, self.other = nn.Linear(10, 10), nn.Linear(10, 10)

    @classmethod
    def build(cls, config, student, teacher, labels_N):
        return cls()

    def forward(self, student, teacher, batch):
        with torch.no_grad():
            factor = self.reader(teacher.logits)
        loss = (student.logits - factor).square().mean()
        return {"loss": loss, "factor": loss.detach()}

    def first_stage(self, student, teacher, batch):
        loss = (self.reader(teacher.logits) - teacher.logits).square().mean()
        return {"loss": loss, "factor": loss.detach()}


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(8, 1, 16, 16, generator=generator)
    return Batch(image, torch.randint(10, (8,), generator=generator), torch.arange(8))


@pytest.fixture
def view(batch):
    torch.manual_seed(1)
    return Teacher(create_model("resnet8", 10, 1), CPU, ComputeOptions(), maps=True)(batch)


def make_learner(method, config=CONFIG):
    torch.manual_seed(0)
    model = create_model("resnet8", 10, 1)
    viewer = Viewer(model, stage_names(model))
    return Learner("student", viewer, method, config, RandomStream(0, CPU), CPU, ComputeOptions())


def only(learner):
    ((_, stage),) = first_stages(learner, CONFIG).items()
    return stage


def copied(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed(before, module):
    return {name for name, tensor in module.state_dict().items() if not torch.equal(before[name], tensor)}


def test_steps_down_the_stages_own_loss(batch, view):
    config = DistillConfig(momentum=0.0, weight_decay=0.0)
    learner = make_learner(Hint(), config)
    model, method = deepcopy(learner.viewer).train(), deepcopy(learner.method)
    loss = method(model(batch.image), view, batch)["loss"]
    loss.backward()
    weight = learner.method.connector.weight - 0.1 * method.connector.weight.grad
    stem = learner.viewer.model.body.stem[0].weight - 0.1 * model.model.body.stem[0].weight.grad
    ((_, stage),) = first_stages(learner, config).items()
    stage.schedule(0.1, 1.0)
    stage.step(batch, lambda: view)
    torch.testing.assert_close(learner.method.connector.weight, weight)
    torch.testing.assert_close(learner.viewer.model.body.stem[0].weight, stem)
    assert stage.totals.means() == pytest.approx({"loss": loss.item(), "hint": loss.item()})


def test_leaves_what_its_loss_does_not_depend_on(batch, view):
    """Not even weight decay touches it."""
    learner = make_learner(Hint())
    before = copied(learner.viewer.model)
    stage = only(learner)
    for _ in range(2):
        stage.step(batch, lambda: view)
    parameters = {name for name, _ in learner.viewer.model.named_parameters()}
    trained = {name for name in parameters if name.startswith(("body.stem", "body.stage1"))}
    assert changed(before, learner.viewer.model) & parameters == trained


def test_the_teachers_first_stage_leaves_the_student_and_the_second_leaves_its_result(batch, view):
    learner = make_learner(Factor())
    student, method = copied(learner.viewer.model), copied(learner.method)
    stage = only(learner)
    stage.step(batch, lambda: view)
    assert not changed(student, learner.viewer.model)
    assert changed(method, learner.method) == {"reader.weight", "reader.bias"}
    method = copied(learner.method)
    learner.step(batch, lambda: view)
    assert not changed(method, learner.method)
    assert changed(student, learner.viewer.model)
    assert learner.totals.means().keys() == {"factor", "ce", "loss"}


def test_without_a_second_stage_cross_entropy_goes_on_alone(batch, view):
    """As a plain learner would from the same weights, with no momentum yet."""
    learner, plain = make_learner(Hint()), make_learner(None)
    only(learner).step(batch, lambda: view)
    plain.viewer.load_state_dict(learner.viewer.state_dict())
    for each in (learner, plain):
        each.schedule(0.1, 1.0)
        each.step(batch, lambda: view)
    assert not learner.guided
    assert learner.totals.means() == plain.totals.means()
    assert not changed(copied(plain.viewer), learner.viewer)


def test_settings_of_the_stage():
    stage = only(make_learner(Hint(epochs=7)))
    assert (stage.config.epochs, stage.config.lr, stage.config.schedule) == (7, 0.1, "step")
    assert (stage.config.milestones, stage.config.warmup_epochs, stage.config.compile) == ((), 0, False)
    assert stage.advice == "try a lower --hint.first-stage-lr"
    assert only(make_learner(Hint(lr=0.3))).config.lr == 0.3
    assert first_stages(make_learner(None), CONFIG) == first_stages(make_learner(KD(KDConfig())), CONFIG) == {}


def test_reads_preactivations_in_the_first_stage_alone():
    class Before(Hint):
        uses_preactivations = True

    learner = make_learner(Before())
    stage = only(learner)
    assert stage.viewer.preactivations
    assert not learner.viewer.preactivations
    assert stage.viewer.model is learner.viewer.model
    assert stage.viewer.maps == learner.viewer.maps
    assert not only(make_learner(Hint())).viewer.preactivations


def test_stages_of_several_methods_come_in_their_order(batch, view):
    learner = make_learner(Combined({"factor": Factor(), "kd": KD(KDConfig()), "hint": Hint()}))
    stages = first_stages(learner, CONFIG)
    assert {name: type(stage.method) for name, stage in stages.items()} == {"factor": Factor, "hint": Hint}
    assert learner.guided
    learner.step(batch, lambda: view)
    assert learner.totals.means().keys() == {"factor", "kd", "ce", "loss"}
    assert not make_learner(Combined({"hint": Hint(), "other": Hint()})).guided


def test_a_run_of_learners_with_and_without(quick, tmp_path):
    stages = {"fsp": FSPConfig(2), "ft": FTConfig(1)}
    outcome = distill(quick(methods=("ce", "fsp", "ft+kd"), epochs=1, out=tmp_path / "run", **stages))
    learners, first = outcome.summary["learners"], outcome.folder / "first-stage"
    assert learners["fsp"]["first_stage"]["epochs"] == 2
    assert learners["ft+kd"]["first_stage"]["epochs"] == 1
    assert "first_stage" not in learners["ce"]
    lines = [json.loads(line) for line in (first / "fsp" / "metrics.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["learner"], line["lr"]) for line in lines] == [(1, "fsp", 0.05), (2, "fsp", 0.05)]
    assert lines[0].keys() >= {"loss", "fsp", "top1", "agreement"}
    assert not lines[0].keys() & {"ce", "kd"}
    assert (first / "ft+kd" / "ft" / "checkpoint.pt").is_file()
    costs = sum(learners[name]["first_stage"]["seconds"] for name in ("fsp", "ft+kd"))
    assert outcome.summary["seconds"] > costs > 0
    plain = distill(quick(methods=("ce",), epochs=1, out=tmp_path / "plain"))
    weights, wanted = (load_file(folder / "ce.safetensors") for folder in (outcome.folder, plain.folder))
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in weights.items())


def test_the_main_stage_begins_with_the_first_ones_weights(quick, tmp_path):
    """A run of one epoch whose rate is next to nothing."""
    config = quick(methods=("fsp",), epochs=1, fsp=FSPConfig(1, first_stage_lr=0.05), lr=1e-12, out=tmp_path / "run")
    outcome = distill(config)
    first = torch.load(outcome.folder / "first-stage" / "fsp" / "checkpoint.pt")["learners"]["fsp"]["student"]
    last = load_file(outcome.folder / "fsp.safetensors")
    torch.manual_seed(0)
    initial = create_model("resnet8", 10, 1)
    for name, parameter in initial.named_parameters():
        torch.testing.assert_close(last[name], first[name], rtol=0, atol=1e-6)
        assert torch.equal(first[name], parameter) == name.startswith("classifier")


def test_a_mistake_in_the_first_stage_shows_before_the_teacher_is_trained(quick, tmp_path, monkeypatch):
    def refuse(self, student, teacher, batch):
        raise CrcdError("no such stage")

    monkeypatch.setattr(FSP, "first_stage", refuse)
    with pytest.raises(CrcdError, match="no such stage"):
        distill(quick(methods=("fsp",), teacher_weights=None, out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite(quick, tmp_path):
    config = quick(methods=("fsp",), fsp=FSPConfig(1, first_stage_lr=1e30), out=tmp_path / "run")
    with pytest.raises(
        CrcdError, match=r"of learner 'fsp' not finite .*lower --fsp.first-stage-lr; the last good"
    ) as error:
        distill(config)
    assert str(tmp_path / "run" / "first-stage" / "fsp" / "checkpoint.pt") in str(error.value)


def test_the_others_go_on_without_one_whose_first_stage_fails(quick, tmp_path):
    methods = ("fsp", "ce", "ft")
    settings = {"methods": methods, "fsp": FSPConfig(1, first_stage_lr=1e30), "ft": FTConfig(1), "keep_going": True}
    whole = distill(quick(out=tmp_path / "whole", **settings))
    assert list(whole.summary["learners"]) == ["ce", "ft"]
    assert list(whole.summary["failed"]) == ["fsp"]
    assert "lower --fsp.first-stage-lr" in whole.summary["failed"]["fsp"]
    beside = distill(quick(out=tmp_path / "beside", **settings | {"methods": methods[1:]}))
    with pytest.raises(RunStopped):
        distill(quick(out=tmp_path / "part", time_budget="0.01s", **settings))
    config = RunFolder(tmp_path / "part").read_config(quick())
    for _ in range(2):
        part = distill(replace(config, resume=tmp_path / "part", time_budget=None))
        assert list(part.summary["failed"]) == ["fsp"]
        for learner in methods[1:]:
            numbers = [outcome.summary["learners"][learner]["loss"] for outcome in (whole, beside, part)]
            assert numbers == numbers[:1] * 3
    alone = quick(out=tmp_path / "alone", **settings | {"methods": ("fsp",)})
    with pytest.raises(CrcdError, match="of learner 'fsp' not finite"):
        distill(alone)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"first_stage_epochs": 0}, "fsp.first_stage_epochs is 0: give 1 or more"),
        ({"first_stage_lr": 0.0}, r"fsp.first_stage_lr is 0\.0: give a learning rate above 0"),
        ({"first_stage_lr": float("nan")}, "fsp.first_stage_lr is nan"),
    ],
)
def test_bad_settings(values, told):
    with pytest.raises(CrcdError, match=told):
        FSPConfig(**values)
