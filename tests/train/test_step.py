"""The step; captured, it does what the eager step does."""

import logging
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch

from crcd.methods.combined import Combined
from crcd.methods.fsp import FSP, FSPConfig
from crcd.methods.kd import KD, KDConfig
from crcd.models import Viewer, create_model, stage_names
from crcd.train import captured
from crcd.train.captured import WARM_UP, CapturedStep
from crcd.train.config import DistillConfig
from crcd.train.first_stage import first_stages
from crcd.train.learner import Learner
from crcd.train.options import ComputeOptions
from crcd.train.randomness import RandomStream
from crcd.train.step import Step
from crcd.train.teacher import Teacher
from step_cases import CLASSES, CPU, build, train

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def assert_same(learners, others, **tolerance):
    for one, other in zip(learners, others, strict=True):
        tensors = [*one.viewer.state_dict().values(), *one.optimiser.state_dict()["state"][0].values()]
        wanted = [*other.viewer.state_dict().values(), *other.optimiser.state_dict()["state"][0].values()]
        if one.method is not None:
            tensors += [x for x in one.method.state_dict().values() if isinstance(x, torch.Tensor)]
            wanted += [x for x in other.method.state_dict().values() if isinstance(x, torch.Tensor)]
        for x, y in zip(tensors, wanted, strict=True):
            torch.testing.assert_close(x, y, **tolerance)
        assert one.totals.means() == pytest.approx(other.totals.means(), rel=1e-5)


def test_parameters_whose_first_gradient_comes_later_join_the_optimiser():
    """The first batch of an empty queue has no negatives: the relation networks get no gradient from it."""
    step, loader = build(Step, objective="nce", source="queue", relation="mlp")
    learners = train(step, loader, epochs=2)
    assert all(torch.isfinite(p).all() for p in learners[2].method.parameters())


class Recorded:
    """Stands in for a CUDA graph: replays by taking the step that was recorded, on the recorded inputs."""

    def register_generator_state(self, generator):
        assert generator is None

    def replay(self):
        self.work()


@pytest.fixture
def recorded(monkeypatch):
    """CUDA as far as CapturedStep needs it, on the CPU; gives the graphs that were recorded."""
    graphs = []

    @contextmanager
    def graph(made, stream, capture_error_mode):
        def record(self, inputs, *, distilling):
            made.work = lambda: take(self, inputs, distilling=distilling)

        take = Step.run
        monkeypatch.setattr(Step, "run", record)
        yield
        monkeypatch.setattr(Step, "run", take)
        graphs.append(made)

    stream = SimpleNamespace(wait_stream=lambda other: None)
    cuda = SimpleNamespace(
        Stream=lambda device: stream,
        stream=lambda stream: nullcontext(),
        current_stream=lambda: stream,
        set_stream=lambda stream: None,
        CUDAGraph=Recorded,
        graph=graph,
    )
    monkeypatch.setattr(captured, "torch", SimpleNamespace(cuda=cuda))
    return graphs


def test_recorded_steps_are_the_eager_steps(recorded):
    """Warm-up, new inputs, new rates, and a new recording when distillation ends, without a GPU."""
    assert_same(train(*build(CapturedStep), epochs=3), train(*build(Step), epochs=3), rtol=0, atol=0)
    assert len(recorded) == 2


def train_in_two_stages(kind, device=CPU):
    """A learner's first stage and then two epochs, one with its method, each stage with a step of its own."""
    _, loader = build(kind, device)
    stream = RandomStream(0, device)
    with stream.active():
        model = create_model("resnet8", CLASSES, 1)
    teacher = Teacher(create_model("resnet8", CLASSES, 1), device, ComputeOptions(), maps=True)
    method = Combined({"fsp": FSP(FSPConfig(), [(16, 16), (16, 16), (32, 32), (64, 64)]), "kd": KD(KDConfig())})
    config = DistillConfig()
    learner = Learner("fsp+kd", Viewer(model, stage_names(model)), method, config, stream, device, config)
    first = kind(loader, teacher, list(first_stages(learner, config).values()))
    for inputs in loader.inputs(0):
        first(inputs, 0.05, 1.0)
    return train(kind(loader, teacher, [learner]), loader)


def test_recorded_stages_are_the_eager_ones(recorded):
    assert_same(train_in_two_stages(CapturedStep), train_in_two_stages(Step), rtol=0, atol=0)
    assert len(recorded) == 3


def test_a_step_that_cannot_be_captured_goes_on_eagerly(recorded, monkeypatch, caplog):
    """The work fails, and then, as PyTorch's does, the end of the capture too: the first reason is told."""
    left = []

    @contextmanager
    def failing(made, stream, capture_error_mode):
        take = Step.run
        monkeypatch.setattr(Step, "run", refuse)
        try:
            yield
        finally:
            monkeypatch.setattr(Step, "run", take)
            raise RuntimeError("operation failed due to a previous error during capture")

    def refuse(self, inputs, *, distilling):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(captured.torch.cuda, "graph", failing)
    monkeypatch.setattr(RandomStream, "leave_graph", lambda self: left.append(self))
    with caplog.at_level(logging.WARNING):
        learners = train(*build(CapturedStep))
    assert_same(learners, train(*build(Step)), rtol=0, atol=0)
    (record,) = caplog.records
    assert record.getMessage() == (
        "the training step can't be captured as a CUDA graph, it runs eagerly "
        "(operation not permitted when stream is capturing)"
    )
    assert left == [learner.stream for learner in learners]


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("objective", ["infonce", "nce"])
@pytest.mark.parametrize("source", ["bank", "queue", "batch"])
def test_captured_equals_eager(objective, source, caplog):
    device = torch.device("cuda:0")
    torch.backends.cudnn.deterministic, before = True, torch.backends.cudnn.deterministic
    try:
        steps = [build(kind, device, objective, source) for kind in (CapturedStep, Step)]
        learners, others = (train(*step, epochs=2) for step in steps)
    finally:
        torch.backends.cudnn.deterministic = before
    assert not caplog.records
    assert steps[0][0]._graph is not None
    assert_same(learners, others, rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
@gpu
def test_captured_stages_equal_eager_ones(caplog):
    device = torch.device("cuda:0")
    torch.backends.cudnn.deterministic, before = True, torch.backends.cudnn.deterministic
    try:
        learners, others = (train_in_two_stages(kind, device) for kind in (CapturedStep, Step))
    finally:
        torch.backends.cudnn.deterministic = before
    assert not caplog.records
    assert_same(learners, others, rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("on", ["teacher", "student"])
def test_a_failed_capture_leaves_a_gpu_fit_to_go_on(on, caplog, monkeypatch):
    step, loader = build(CapturedStep, torch.device("cuda:0"))
    reader = step.guide._read if on == "teacher" else step.learners[2].read
    read = type(reader)._read

    def waiting(self, image):
        view = read(self, image)
        if self is reader:
            view.logits.sum().item()
        return view

    monkeypatch.setattr(type(reader), "_read", waiting)
    outside = torch.cuda.current_stream()
    with caplog.at_level(logging.WARNING):
        learners = train(step, loader)
    assert "can't be captured" in caplog.text
    assert torch.cuda.current_stream() == outside
    assert all(torch.isfinite(p).all() for learner in learners for p in learner.viewer.parameters())
    assert torch.rand(3, device="cuda").isfinite().all()


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("kind", [Step, CapturedStep])
def test_an_epoch_does_not_wait_for_the_gpu(kind):
    step, loader = build(kind, torch.device("cuda:0"))
    inputs = list(loader.inputs(0))
    for number in range(WARM_UP + 1):
        step(inputs[number], 0.05, 1.0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for given in loader.inputs(1):
            step(given, 0.05, 1.0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
