import pytest
import torch
from torch import nn

from crcd.data.dataset import TensorImages
from crcd.errors import CrcdError
from crcd.export.check import Check, compare, images_to_check, spread_over


def images(count):
    return TensorImages(torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1), torch.arange(count))


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))


def test_a_thousand_images_evenly_spread():
    chosen = images_to_check(TensorImages(torch.zeros(5001, 1, 1, 1), torch.arange(5001)))
    assert len(chosen) == 1000
    assert chosen.labels[0] == 0
    assert chosen.labels[-1] == 5000
    assert set(chosen.labels.diff().tolist()) <= {5, 6}


def test_all_that_there_are_and_enough_for_every_batch():
    assert images_to_check(images(100)).labels.tolist() == list(range(100))
    few = images_to_check(images(5)).labels
    assert len(few) == 72
    assert few.unique().tolist() == [0, 1, 2, 3, 4]
    assert spread_over(images(3), 3).tolist() == [0, 1, 2]


def test_batches_of_1_of_7_and_of_64():
    model, sizes = network(), []

    def exported(image):
        sizes.append(len(image))
        return model(image).detach() + 0.5

    batches = torch.randn(76, 4).split(72)
    check = compare(model, exported, batches, 50)
    assert sizes == [1, 7, 64, 1, 3]
    assert check == Check(50, pytest.approx(0.5, abs=1e-6), 100)


def test_images_of_another_class_are_counted():
    def exported(image):
        logits = model(image).detach()
        logits[::2] = logits[::2].roll(1, dims=1)
        return logits

    model = network()
    check = compare(model, exported, [torch.randn(8, 4)], 8)
    assert check.top1_agreement == 100 * 3 / 8  # of batches of 1 and 7, the first, third, ... differ


@pytest.mark.parametrize("own", [True, False])
def test_logits_that_are_not_finite(own):
    model = network()
    if own:
        nn.init.constant_(model[1].weight, torch.nan)
    with pytest.raises(CrcdError, match="not finite"):
        compare(model, lambda image: torch.full((len(image), 3), 0.0 if own else torch.inf), [torch.randn(8, 4)], 8)
