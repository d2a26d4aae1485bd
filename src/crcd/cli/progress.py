"""Shows how a run goes: live on a terminal, as plain lines elsewhere."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from crcd.bar import title_column, with_bar
from crcd.train.learner import Learner
from crcd.train.reporter import Reporter

PLAIN_WIDTH = 120
LEAST_SECONDS = 1e-3
"""Taken to have passed at least: some systems' clocks stand still for milliseconds."""
T = TypeVar("T")


def make_console() -> Console:
    """Standard output; wide and without control characters where it is no terminal.

    What is printed stands there as it is: paths, names and settings have brackets and colons, which are no markup.
    """
    width = None if Console().is_terminal else PLAIN_WIDTH
    return Console(markup=False, emoji=False, highlight=False, width=width)


def make_reporter(console: Console) -> Reporter:
    """The reporter that suits the console."""
    return LiveReporter(console) if console.is_terminal else PlainReporter(console)


def shown(items: Iterable[T], total: int, title: str, console: Console) -> Iterable[T]:
    """The items, beside a bar on a terminal, after a line elsewhere."""
    if console.is_terminal:
        return with_bar(items, total, title, console)
    console.print(title)
    return items


class PlainReporter(Reporter):
    """One line an epoch and learner."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._epochs = 0

    def note(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def begin(self, title: str, learners: Sequence[Learner], epochs: int, steps: int, done: int) -> None:
        self._epochs = epochs
        going_on = f", going on after step {done}" if done else ""
        self._console.print(f"training {title}: {epochs} epochs of {steps} steps{going_on}", soft_wrap=True)

    def epoch(self, records: Sequence[Mapping[str, Any]]) -> None:
        for record in records:
            agreement = f"  agreement {record['agreement']:.2f} %" if "agreement" in record else ""
            self._console.print(
                f"epoch {record['epoch']}/{self._epochs}  {record['learner']}  loss {record['loss']:.4f}  "
                f"top-1 {record['top1']:.2f} %{agreement}  lr {record['lr']:.3g}  "
                f"{record['images_per_second']:.0f} images/s",
                soft_wrap=True,
            )

    def begin_filling(self, views: int, images: int, done: int) -> None:
        going_on = f", going on after {done}" if done else ""
        self._console.print(f"asking the teacher: {views} views of {images} images{going_on}", soft_wrap=True)


class LiveReporter(Reporter):
    """A bar over all steps, and loss and last score of each learner below it.

    On a GPU the losses are those of the last epoch: reading them within one would make the device wait.
    """

    _live: Live | Progress

    def __init__(self, console: Console) -> None:
        self._console = console

    def note(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def begin(self, title: str, learners: Sequence[Learner], epochs: int, steps: int, done: int) -> None:
        self._learners, self._epochs, self._steps = learners, epochs, steps
        self._scores: dict[str, Mapping[str, Any]] = {}
        self._images, self._began = 0, time.monotonic()
        self._bar = Progress(
            title_column(),
            BarColumn(),
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            TextColumn("{task.fields[speed]:.0f} images/s"),
            TimeRemainingColumn(),
        )
        self._task = self._bar.add_task(
            title, total=epochs * steps, completed=done, epoch=done // steps + 1, epochs=epochs, speed=0.0
        )
        self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=4)
        self._live.start()

    def step(self, images: int) -> None:
        self._advance(1, images)

    def epoch(self, records: Sequence[Mapping[str, Any]]) -> None:
        self._scores = {record["learner"]: record for record in records}
        self._bar.update(self._task, epoch=min(records[0]["epoch"] + 1, self._epochs))

    def begin_filling(self, views: int, images: int, done: int) -> None:
        self._images, self._began = 0, time.monotonic()
        self._bar = Progress(
            title_column(),
            BarColumn(),
            TextColumn("{task.fields[speed]:.0f} images/s"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task = self._bar.add_task("teacher", total=views * images, completed=done, speed=0.0)
        self._live = self._bar
        self._live.start()

    def fill(self, images: int) -> None:
        self._advance(images, images)

    def end(self) -> None:
        self._live.stop()

    def _advance(self, by: int, images: int) -> None:
        self._images += images
        elapsed = max(time.monotonic() - self._began, LEAST_SECONDS)
        self._bar.update(self._task, advance=by, speed=self._images / elapsed)

    def _render(self) -> Group:
        table = Table("learner", "loss", "top-1 %", "agreement %", box=None)
        for learner in self._learners:
            score = self._scores.get(learner.name, {})
            values = (self._loss(learner, score), score.get("top1"), score.get("agreement"))
            table.add_row(learner.name, *("" if value is None else f"{value:.3f}" for value in values))
        return Group(self._bar, table)

    @staticmethod
    def _loss(learner: Learner, score: Mapping[str, Any]) -> float | None:
        running = learner.totals.means() if learner.device.type == "cpu" else {}
        return running.get("loss", score.get("loss"))
