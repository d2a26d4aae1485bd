"""A weight that grows over the first epochs."""

import pytest

from crcd.methods.warm_up import WarmUp

N, B = 43, 10  # four whole batches an epoch


def shares(warm_up, steps):
    return [warm_up(B).item() for _ in range(steps)]


@pytest.mark.parametrize("first", [0, 1])
def test_grows_from_epoch_to_epoch_up_to_one(first):
    expected = [min(1.0, (first + step // 4) / 3) for step in range(20)]
    assert shares(WarmUp(3, N, first), 20) == pytest.approx(expected)
    assert expected[0] == first / 3
    assert expected[-1] == 1


@pytest.mark.parametrize("first", [0, 1])
def test_no_epochs_of_it(first):
    assert shares(WarmUp(0, N, first), 5) == [1] * 5


def test_a_batch_of_more_than_the_training_set_is_an_epoch():
    warm_up = WarmUp(2, N, 0)
    assert [warm_up(N + 1).item() for _ in range(3)] == [0, 0.5, 1]


def test_evaluation_counts_no_step():
    warm_up = WarmUp(2, N, 0).eval()
    assert shares(warm_up, 9) == [0] * 9
    assert warm_up.step == 0


def test_travels_in_the_state():
    warm_up, other = (WarmUp(5, N, 0) for _ in range(2))
    shares(warm_up, 11)
    other.load_state_dict(warm_up.state_dict())
    assert shares(other, 9) == shares(warm_up, 9)
