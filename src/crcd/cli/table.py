"""What a run or a comparison came to, as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from crcd.compare.table import Table as Words
from crcd.train.outcome import Outcome

SCORES = {
    "top-1 %": ("top1", ".2f"),
    "agreement %": ("agreement", ".2f"),
    "KL": ("kl", ".3f"),
    "ECE %": ("ece", ".2f"),
}
"""Headings, and name and format of the figures below them."""
WIDE = 100
"""Columns of a console from which on it shows all scores, not the first two alone."""


def grid(words: Words) -> Table:
    """The table of a comparison, as wide as the terminal."""
    table = Table(title=words.title, caption="\n".join(words.notes) or None, box=SIMPLE, padding=(0, 1, 0, 0))
    for number, heading in enumerate(words.header):
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    for row in words.rows:
        table.add_row(*row)
    return table


def show(outcome: Outcome, console: Console) -> None:
    """Print teacher and learners with cost and scores after the last epoch, then the folder."""
    summary = outcome.summary
    headings = list(SCORES)[: None if console.width >= WIDE else 2]
    title = f"{summary['data']}, {summary['scored_images']} {summary['scored_on']} images, last epoch"
    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("network", overflow="fold")
    for heading in ("parameters", "multiply-adds", *headings, "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    if "teacher" in summary:
        table.add_row("teacher", *_cells(summary["teacher"], headings), end_section=True)
    for name, entry in summary["learners"].items():
        table.add_row(name, *_cells(entry, headings))
    console.print(table)
    console.print(f"all of it is in {outcome.folder}", soft_wrap=True)


def _cells(entry: Mapping[str, Any], headings: Sequence[str]) -> list[str]:
    scores = (SCORES[heading] for heading in headings)
    return [
        entry["model"],
        f"{entry['parameters']:,}",
        f"{entry['multiply_adds']:,}",
        *(format(entry[name], form) if name in entry else "" for name, form in scores),
        "" if entry["seconds"] is None else f"{entry['seconds']:.1f}",
    ]
