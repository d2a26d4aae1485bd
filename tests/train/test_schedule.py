from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crcd.train.options import OptimiserOptions
from crcd.train.schedule import distillation_weight, learning_rate


def test_crd_steps_after_150_180_and_210_of_240_epochs():
    options = OptimiserOptions(epochs=240, lr=0.05)
    rates = [learning_rate(options, epoch, 0, 10) for epoch in (0, 149, 150, 179, 180, 209, 210, 239)]
    assert rates == pytest.approx([0.05, 0.05, 5e-3, 5e-3, 5e-4, 5e-4, 5e-5, 5e-5])


def test_milestones_in_epochs():
    options = OptimiserOptions(epochs=10, lr=1.0, milestones=(3, 5), gamma=0.5)
    assert [learning_rate(options, epoch, 7, 10) for epoch in (2, 3, 4, 5)] == [1.0, 0.5, 0.5, 0.25]


def test_cosine_from_lr_to_almost_zero():
    options = OptimiserOptions(epochs=4, lr=2.0, schedule="cosine")
    assert learning_rate(options, 0, 0, 5) == 2.0
    assert learning_rate(options, 2, 0, 5) == pytest.approx(1.0)
    assert 0 < learning_rate(options, 3, 4, 5) < 0.02


def test_warmup_rises_linearly_and_cosine_follows():
    options = OptimiserOptions(epochs=4, lr=1.0, schedule="cosine", warmup_epochs=0.8)
    assert [learning_rate(options, 0, step, 5) for step in range(5)] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


@given(st.integers(1, 30), st.integers(1, 9), st.sampled_from(["step", "cosine"]))
def test_after_warmup_the_rate_never_rises(epochs, steps, schedule):
    options = OptimiserOptions(epochs=epochs, schedule=schedule)
    rates = [learning_rate(options, epoch, step, steps) for epoch in range(epochs) for step in range(steps)]
    assert all(later <= earlier for earlier, later in pairwise(rates))
    assert all(0 < rate <= options.lr for rate in rates)


def test_distillation_ends_after_its_last_epoch():
    assert [distillation_weight(2, 4, epoch) for epoch in range(4)] == [1, 1, 0, 0]
    assert [distillation_weight(1, 4, epoch) for epoch in range(4)] == [1, 0, 0, 0]
    assert [distillation_weight(0.75, 4, epoch) for epoch in range(4)] == [1, 1, 1, 0]
    assert distillation_weight(None, 4, 10**6) == 1
