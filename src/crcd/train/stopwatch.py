"""Time of repeated pieces of work on a device."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Sums the seconds of the work done inside ``running``, without waiting for the device in between.

    On the CPU it reads the clock; on a GPU it records events around the work and reads them when asked. The time of
    work that becomes part of a CUDA graph is not known: only the whole graph's is.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._seconds: float | None = 0.0
        self._captured = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the work inside."""
        if self._cuda and torch.cuda.is_current_stream_capturing():
            self._captured = True
            yield
        elif self._cuda:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            yield
            end.record()
            self._events.append((start, end))
        else:
            began = time.perf_counter()
            yield
            self._add(time.perf_counter() - began)

    @property
    def seconds(self) -> float | None:
        """Seconds so far; None once the work became part of a CUDA graph. Waits for the device."""
        for start, end in self._events:
            end.synchronize()
            self._add(start.elapsed_time(end) / 1000)
        self._events = []
        return None if self._captured else self._seconds

    @seconds.setter
    def seconds(self, seconds: float | None) -> None:
        self._events = []
        self._seconds = seconds

    def leave_graph(self) -> None:
        """The graph is given up: what follows is timed again."""
        self._captured = False

    def _add(self, seconds: float) -> None:
        if self._seconds is not None:
            self._seconds += seconds
