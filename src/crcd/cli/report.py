"""crcd report."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from crcd.cli.arguments import Runs, require_file, require_runs
from crcd.cli.progress import make_console, shown
from crcd.data import Batch, Loader
from crcd.report.networks import Place
from crcd.report.report import write_report


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Write one HTML page about ended runs of crcd distill, or about a comparison; it needs nothing but a browser."""

    runs: Runs
    """Folders of crcd distill runs, or of a crcd compare."""
    out: Path | None = None
    """File of the page; None writes report.html into the first folder."""
    baseline: str | None = None
    """Learner that the others are compared with; None takes ce, or the first one where there is none."""
    data_dir: Path | None = None
    """Where the data set lies now; None looks for it where the run found it."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N: where networks are read and latency is measured."""
    run_code: bool = False
    """Take networks and methods that are code of your own (PACKAGE.MODULE:NAME), which runs that code."""

    def __post_init__(self) -> None:
        require_runs(self.runs, "crcd report")
        require_file(self.out)


def run(words: Sequence[str]) -> None:
    """Write the page and say where."""
    config = tyro.cli(ReportConfig, args=list(words), prog="crcd report")
    place = Place(config.device, config.data_dir, config.run_code)
    write(config.runs, config.out or config.runs[0] / "report.html", config.baseline, place, make_console())


def write(runs: Sequence[Path], out: Path, baseline: str | None, place: Place, console: Console) -> None:
    """Write the page about some runs, showing how far it is, and say where it is."""

    def progress(loader: Loader, title: str) -> Iterable[Batch]:
        return shown(loader.epoch(0), len(loader), title, console)

    def note(text: str) -> None:
        console.print(text, soft_wrap=True)

    write_report(runs, out, baseline, place, progress, note)
    console.print(f"the report is {out}", soft_wrap=True)
