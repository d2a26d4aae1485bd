import torch

from crcd.train.totals import Totals


def test_means_over_steps_also_of_parts_that_join_later():
    totals = Totals()
    totals.add({"loss": torch.tensor(1.0)})
    totals.add({"loss": torch.tensor(2.0), "kd": torch.tensor(4.0)})
    assert totals.means() == {"loss": 1.5, "kd": 2.0}


def test_one_step_that_is_not_finite_is_remembered():
    totals = Totals()
    for value in (1.0, float("inf"), float("-inf"), 2.0):
        totals.add({"loss": torch.tensor(1.0), "kd": torch.tensor(value)})
    assert totals.not_finite() == ["kd"]


def test_state_goes_on():
    totals, other = Totals(), Totals()
    totals.add({"loss": torch.tensor(1.0)})
    other.load_state_dict(totals.state_dict(), torch.device("cpu"))
    other.add({"loss": torch.tensor(3.0)})
    assert other.means() == {"loss": 2.0}
    assert totals.means() == {"loss": 1.0}
