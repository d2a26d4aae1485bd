"""What a run or a comparison came to, as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from crcd.compare.table import SCORES, TOP1
from crcd.compare.table import Table as Words
from crcd.train.outcome import Outcome

HEADINGS = {"top1": TOP1, **SCORES}
SHOWN = ("top1", "agreement", "kl", "ece")
"""Scores of a run that are shown."""
NARROWEST = 12
"""Columns of a name, which folds where it is longer."""
WIDE = 100
"""Columns of a console from which on it shows them all, not the first two alone."""


def show_grid(words: Words, console: Console) -> None:
    """Print the table of a comparison."""
    table = Table(title=words.title, caption="\n".join(words.notes) or None, box=SIMPLE, padding=(0, 1, 0, 0))
    _add_columns(table, words.header, words.rows, names=1)
    for row in words.rows:
        table.add_row(*row)
    print_whole(table, console)


def _add_columns(table: Table, header: Sequence[str], rows: Sequence[Sequence[str]], names: int) -> None:
    """Columns of names, then of numbers: names and headings fold, numbers are kept in one piece."""
    for place, heading in enumerate(header):
        widest = max((len(row[place]) for row in rows), default=0)
        if place < names:
            table.add_column(heading, overflow="fold", min_width=min(widest, NARROWEST))
        else:
            table.add_column(heading, justify="right", overflow="fold", min_width=widest)


def print_whole(table: Table, console: Console) -> None:
    """Print a table as wide as what must not be folded, even where the console is not."""
    needed = Measurement.get(console, console.options, table).minimum
    console.print(table, width=max(console.width, needed), crop=False)


def show(outcome: Outcome, console: Console) -> None:
    """Print teacher and learners with cost and scores after the last epoch, then the folder."""
    summary = outcome.summary
    shown = SHOWN[: None if console.width >= WIDE else 2]
    title = f"{summary['data']}, {summary['scored_images']} {summary['scored_on']} images, last epoch"
    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0))
    headings = ("", "network", "parameters", "multiply-adds", *(HEADINGS[name][0] for name in shown), "seconds")
    teacher = {"teacher": summary["teacher"]} if "teacher" in summary else {}
    rows = [[name, *_cells(entry, shown)] for name, entry in (teacher | summary["learners"]).items()]
    _add_columns(table, headings, rows, names=2)
    for place, row in enumerate(rows):
        table.add_row(*row, end_section=place == 0 and bool(teacher))
    print_whole(table, console)
    console.print(f"all of it is in {outcome.folder}", soft_wrap=True)


def _cells(entry: Mapping[str, Any], shown: Sequence[str]) -> list[str]:
    return [
        entry["model"],
        f"{entry['parameters']:,}",
        f"{entry['multiply_adds']:,}",
        *(f"{entry[name]:.{HEADINGS[name][1]}f}" if name in entry else "" for name in shown),
        "" if entry["seconds"] is None else f"{entry['seconds']:.1f}",
    ]
