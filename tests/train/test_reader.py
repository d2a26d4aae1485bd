"""Precision and compilation of the networks of a run."""

import logging

import pytest
import torch

from crcd.models import Viewer, create_model
from crcd.train.options import ComputeOptions
from crcd.train.reader import Reader


@pytest.fixture
def viewer():
    torch.manual_seed(0)
    return Viewer(create_model("resnet8", 10, 1))


@pytest.fixture
def image():
    return torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def read(viewer, image, **options):
    viewer.train()
    view = Reader(viewer, ComputeOptions(**options))(image)
    (gradient,) = torch.autograd.grad(view.logits.square().mean(), viewer.model.classifier.weight)
    return view, gradient


def test_bf16_computes_in_it_and_views_are_float32(viewer, image):
    seen = set()
    viewer.model.body.stage1.register_forward_hook(lambda module, given, made: seen.add(made.dtype))
    exact, exact_gradient = read(viewer, image)
    view, gradient = read(viewer, image, precision="bf16")
    assert seen == {torch.float32, torch.bfloat16}
    for x, y in ((exact.logits, view.logits), (exact.feature, view.feature), (exact_gradient, gradient)):
        assert y.dtype == torch.float32
        assert 0 < (x - y).norm() < 0.03 * x.norm()


def test_maps_are_float32_before_and_after_activation(viewer, image):
    read = Reader(Viewer(viewer.model, ("stage1",), preactivations=True), ComputeOptions(precision="bf16"))(image)
    for maps in (read.maps, read.preactivations):
        assert [(name, each.dtype) for name, each in maps.items()] == [("stage1", torch.float32)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_gives_the_same(viewer, image, caplog):
    exact, exact_gradient = read(viewer, image)
    view, gradient = read(viewer, image, compile=True)
    torch.testing.assert_close(view.logits, exact.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(view.feature, exact.feature, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient, exact_gradient, rtol=1e-4, atol=1e-5)
    assert view.classifier is viewer.model.classifier
    assert not [record for record in caplog.records if record.name.startswith("crcd")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_compiled_runs_as_it_is(viewer, image, caplog, monkeypatch):
    def broken(graph, example_inputs):
        raise RuntimeError("no compiler on this machine")

    compile_with = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: compile_with(module, backend=broken))
    exact, _ = read(viewer, image)
    reader = Reader(viewer, ComputeOptions(compile=True))
    with caplog.at_level(logging.WARNING):
        first, second = reader(image), reader(image)
    assert torch.equal(first.logits, exact.logits)
    assert torch.equal(second.logits, exact.logits)
    (record,) = [record for record in caplog.records if record.name.startswith("crcd")]
    assert "ImageClassifier can't be compiled, it is run as it is" in record.getMessage()
    assert "no compiler on this machine" in record.getMessage()
