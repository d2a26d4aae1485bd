import pytest
import torch
from torch import nn

from crcd.models import ImageFormat, create_model
from crcd.report import cost as module
from crcd.report.cost import cost, measure_latency

IMAGES = ImageFormat(1, 8, (0.5,), (0.5,))


def test_latency_is_of_whole_batches_in_eval_mode(monkeypatch):
    monkeypatch.setattr(module, "MEASURED_SECONDS", 0.01)
    shapes = set()

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = create_model("resnet8", 10, 1)

        def forward(self, image):
            assert not self.training
            assert not torch.is_grad_enabled()
            shapes.add(tuple(image.shape))
            return self.inner(image)

    model = Watched().train()
    latency = measure_latency(model, IMAGES, torch.device("cpu"))
    assert shapes == {(1, 1, 8, 8), (64, 1, 8, 8)}
    assert latency.keys() == {1, 64}
    assert all(value > 0 for value in latency.values())
    assert model.training


def test_the_file_counts_where_it_is_there(tmp_path):
    entry = {"parameters": 5, "multiply_adds": 7, "top1": 1.0}
    (tmp_path / "w").write_bytes(b"123")
    assert cost(entry, tmp_path / "w", {1: 0.5}) == module.Cost(5, 7, 3, {1: 0.5})
    assert cost(entry, tmp_path / "gone", {}).file_bytes is None


@pytest.mark.parametrize("name", ["teacher", "crcd+kd"])
def test_costs_are_those_of_the_summary(source, name):
    run = source.subject.first
    entry = run.teacher if name == "teacher" else run.learners[name]
    own = source.costs[name]
    assert (own.parameters, own.multiply_adds) == (entry["parameters"], entry["multiply_adds"])
    assert own.file_bytes == run.folder.weights(name).stat().st_size
