import torch

from crcd.train.totals import Totals

CPU = torch.device("cpu")


def test_means_over_the_steps_that_had_a_part():
    totals = Totals(CPU)
    totals.add({"loss": torch.tensor(1.0)})
    totals.add({"loss": torch.tensor(2.0), "kd": torch.tensor(4.0)})
    assert totals.means() == {"loss": 1.5, "kd": 4.0}


def test_one_step_that_is_not_finite_is_remembered():
    totals = Totals(CPU)
    for value in (1.0, float("inf"), float("-inf"), 2.0):
        totals.add({"loss": torch.tensor(1.0), "kd": torch.tensor(value)})
    assert totals.not_finite() == ["kd"]


def test_state_goes_on():
    totals, other = Totals(CPU), Totals(CPU)
    totals.add({"loss": torch.tensor(1.0)})
    other.load_state_dict(totals.state_dict())
    other.add({"loss": torch.tensor(3.0)})
    assert other.means() == {"loss": 2.0}
    assert totals.means() == {"loss": 1.0}


def test_an_epoch_forgets_the_parts_of_the_one_before():
    totals = Totals(CPU)
    totals.add({"loss": torch.tensor(1.0), "kd": torch.tensor(4.0)})
    totals.clear()
    totals.add({"loss": torch.tensor(3.0)})
    assert totals.means() == {"loss": 3.0}
