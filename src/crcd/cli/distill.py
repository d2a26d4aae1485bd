"""crcd distill."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from crcd import distributed
from crcd.cli.arguments import read_arguments
from crcd.cli.progress import make_console, make_reporter
from crcd.cli.table import show
from crcd.train.config import DistillConfig
from crcd.train.distill import distill
from crcd.train.outcome import Outcome

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What is written when the run has ended."""

    report: bool = True
    """Write report.html, a page about the run, into its folder; crcd report writes it later."""


@dataclass(frozen=True, kw_only=True)
class DistillCommand(ReportOptions, DistillConfig):
    """Train small classifiers under a large one, side by side on the same batches."""


def run(words: Sequence[str]) -> None:
    """Distil, show the outcome and write the report."""
    command = read_arguments(DistillCommand(), _command, words, "crcd distill")
    console = make_console()
    outcome = distill(command.run_settings(), make_reporter(console))
    if command.report and distributed.rank() == 0:
        with distributed.apart():
            _report(outcome, command.device, console)
    show(outcome, console)


def _command(config: DistillConfig) -> DistillCommand:
    return DistillCommand(**vars(config))


def _report(outcome: Outcome, device: str, console: Console) -> None:
    """Write the report; whatever goes wrong with that is told in a line, and the run is none the worse."""
    try:
        from crcd.cli.report import write  # slow to import
        from crcd.report.networks import Place

        write([outcome.folder], outcome.folder / "report.html", None, Place(device, run_code=True), console)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        log.warning("the report could not be written (%s); crcd report %s tries again", reason, outcome.folder)
