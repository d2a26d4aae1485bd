"""What a run tells while it works."""

from collections.abc import Mapping, Sequence
from typing import Any

from crcd.train.learner import Learner


class Reporter:
    """Is told how a run goes. This one keeps it to itself; the command line's show it."""

    def note(self, text: str) -> None:
        """What comes next, in words."""

    def begin(self, title: str, learners: Sequence[Learner], epochs: int, steps: int, done: int) -> None:
        """Training begins or goes on: epochs in all, steps an epoch, steps done before."""

    def step(self, images: int) -> None:
        """All learners took a step on a batch of so many images."""

    def epoch(self, records: Sequence[Mapping[str, Any]]) -> None:
        """An epoch is over; the metrics line of each learner."""

    def begin_filling(self, views: int, images: int, done: int) -> None:
        """The teacher is asked for its cache: views, images of each, and how many it has seen before in all."""

    def fill(self, images: int) -> None:
        """The teacher saw so many images more."""

    def end(self) -> None:
        """Training or filling stopped, at its end or before."""
