"""crcd train."""

from collections.abc import Sequence

from crcd.cli.arguments import read_arguments
from crcd.cli.progress import make_console, make_reporter
from crcd.cli.table import show
from crcd.train.config import TrainConfig
from crcd.train.scratch import train


def run(words: Sequence[str]) -> None:
    """Train a classifier, by default a recipe's teacher, and show the outcome."""
    config = read_arguments(TrainConfig(), lambda filled: filled.for_teacher(None), words, "crcd train")
    console = make_console()
    show(train(config, make_reporter(console)), console)
