import os
import signal

import pytest

from crcd.train.stop import Due, StopSignal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_due_until_handled_and_handlers_come_back(number):
    before = signal.getsignal(number)
    with StopSignal(None, "crcd distill --resume x") as stop:
        assert not stop.due()
        os.kill(os.getpid(), number)
        assert stop.due()
        stopped = stop.stopped("in epoch 2")
    assert stopped.status == 128 + number
    assert str(stopped) == f"stopped by {number.name} in epoch 2; continue with: crcd distill --resume x"
    assert signal.getsignal(number) is before


def test_the_second_interrupt_is_not_caught():
    with StopSignal(None, "") as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.due()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_time_budget():
    stop = StopSignal(0.0, "go on")
    assert stop.due()
    assert stop.stopped("now").status == 0
    assert not StopSignal(100.0, "go on").due()


def test_a_checkpoint_may_be_due_alone():
    assert StopSignal(None, "").due(overdue=True) is Due.SAVE
    assert StopSignal(0.0, "").due(overdue=True) is Due.STOP
