"""A batch read in parts gives the loss and gradients of the whole."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from crcd.data import Batch
from crcd.errors import CrcdError
from crcd.methods.crcd import CRCD
from crcd.models import Viewer, create_model
from crcd.relation.config import RelationConfig
from crcd.train.distill import distill
from crcd.train.parts import read_in_parts

LABELS = torch.arange(40) % 4


def loss_and_gradients(parts: int):
    """Of relations and a network without batch statistics, and how often that was run."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.Flatten(), nn.ReLU(), nn.Linear(144, 4)]
    viewer = Viewer(nn.Sequential(*layers).double(), ["0"])
    image = torch.randn(10, 1, 8, 8, dtype=torch.double)
    method = CRCD(RelationConfig(negatives=8, dim=4), 144, 144, LABELS).double()
    with torch.no_grad():
        teacher = viewer(image)
    calls = []
    handle = viewer.model[0].register_forward_hook(lambda *_: calls.append(1))
    torch.manual_seed(1)
    view = read_in_parts(viewer, viewer, image, parts)
    terms = method(view, teacher, Batch(image, LABELS[:10], torch.arange(10)))
    loss = terms["loss"] + view.maps["0"].square().mean()
    loss.backward()
    handle.remove()
    return loss.item(), [p.grad for p in (*viewer.parameters(), *method.parameters())], len(calls)


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_loss_and_gradients_are_those_of_the_whole_batch(parts):
    loss, gradients, calls = loss_and_gradients(parts)
    expected, wanted, once = loss_and_gradients(1)
    assert loss == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(gradients, wanted, rtol=1e-9, atol=1e-12)
    assert (calls, once) == (2 * parts, 1)


def test_both_readings_have_the_same_random_numbers():
    """A mask that was drawn anew would give a gradient where the output was left out."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 50), nn.Dropout(0.5), nn.Flatten(), nn.Linear(50, 3))
    viewer = Viewer(network, ["3"])
    view = read_in_parts(viewer, viewer, torch.ones(4, 1, 2, 2), 2)
    kept = view.maps["3"] != 0
    view.maps["3"].sum().backward()
    assert 0 < kept.sum() < kept.numel()
    assert torch.equal(network[1].bias.grad, 2.0 * kept.sum(dim=0))


def test_running_statistics_count_each_part_once():
    torch.manual_seed(0)
    viewer, other = (Viewer(create_model("resnet8", 10, 1)).train() for _ in range(2))
    other.load_state_dict(viewer.state_dict())
    image = torch.randn(8, 1, 8, 8)
    read_in_parts(viewer, viewer, image, 2).logits.sum().backward()
    for part in image.chunk(2):
        other(part)
    for buffer, expected in zip(viewer.buffers(), other.buffers(), strict=True):
        assert torch.equal(buffer, expected)


def test_a_run_in_parts(quick, tmp_path):
    config = quick(methods=("kd", "sp"), epochs=1, batch_parts=2, out=tmp_path / "run")
    assert distill(config).summary["learners"]["sp"]["epochs"] == 1
    half = config.batch_size // 2
    with pytest.raises(CrcdError, match=rf"--batch-parts is {half + 1}: .* a part needs two: give {half} at most"):
        distill(replace(config, batch_parts=half + 1, out=tmp_path / "other"))
    with pytest.raises(CrcdError, match="--batch-parts is 0: give 1 or more"):
        replace(config, batch_parts=0)
