"""A bar that shows how far work is."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

T = TypeVar("T")


def title_column() -> TextColumn:
    """What a bar is about, word for word: in paths and names, brackets and colons are no markup."""
    return TextColumn("{task.description}", markup=False)


def with_bar(items: Iterable[T], total: int, title: str, console: Console) -> Iterator[T]:
    """The items, beside a bar where the console is a terminal."""
    columns = (title_column(), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(elapsed_when_finished=True))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield from progress.track(items, total, description=title)
