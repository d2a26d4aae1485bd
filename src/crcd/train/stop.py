"""Stopping a run between two steps: on a signal, or when its time is up."""

import signal
import threading
import time
from enum import Enum, auto
from types import FrameType, TracebackType
from typing import Self

OUT_OF_TIME = 1
"""A reason to stop that yields to every signal that is caught."""
SIGNALLED = 128
"""What a shell adds to the number of the signal that ended a command."""


class RunStopped(Exception):  # noqa: N818 - no error: the run was asked to stop and did
    """The run stopped before its end, its state saved.

    Attributes:
        status: exit status for the command line: 128 and its number after a signal, 0 when the time budget was used up.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Due(Enum):
    """What a run does between two steps."""

    SAVE = auto()
    """Write a checkpoint and go on."""
    STOP = auto()
    """Write one and end here."""


class StopSignal:
    """Watches for SIGINT and SIGTERM (inside ``with``, in the main thread) and for the end of the time budget.

    A second SIGINT is not caught: it interrupts at once. Several processes stop together, once one of them is to.

    Args:
        budget: seconds from now; None for no limit.
        advice: how to go on, for whoever reads that the run stopped.
    """

    def __init__(self, budget: float | None, advice: str) -> None:
        self.advice = advice
        self._deadline = None if budget is None else time.monotonic() + budget
        self._received: signal.Signals | None = None
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = signal.Signals(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def due(self, overdue: bool = False) -> Due | None:
        """What to do now, if anything; of several processes all must ask, and get the same answer.

        Args:
            overdue: whether the state should be saved anyway.
        """
        from crcd import distributed  # slow to import

        over = self._deadline is not None and time.monotonic() >= self._deadline
        own = self._received or (OUT_OF_TIME if over else 0)
        reason, save = divmod(distributed.highest(2 * own + overdue), 2)  # one exchange tells both
        if reason > OUT_OF_TIME:
            self._received = signal.Signals(reason)
        return Due.STOP if reason else Due.SAVE if save else None

    def stopped(self, where: str) -> RunStopped:
        """What to raise once the state is saved."""
        reason = f"stopped by {self._received.name}" if self._received else "time budget used up"
        return RunStopped(
            f"{reason} {where}; continue with: {self.advice}", SIGNALLED + self._received if self._received else 0
        )
