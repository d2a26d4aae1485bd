"""crcd distill."""

from collections.abc import Sequence

from crcd.cli.arguments import read_arguments
from crcd.cli.progress import make_console, make_reporter
from crcd.cli.table import show
from crcd.train.config import DistillConfig
from crcd.train.distill import distill


def run(words: Sequence[str]) -> None:
    """Distil and show the outcome."""
    config = read_arguments(DistillConfig(), lambda filled: filled, words, "crcd distill")
    console = make_console()
    show(distill(config, make_reporter(console)), console)
