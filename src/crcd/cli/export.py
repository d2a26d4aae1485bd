"""crcd export."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import tyro
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from crcd.cli.arguments import Runs, require_runs
from crcd.cli.data_folder import find_data
from crcd.cli.progress import make_console
from crcd.export.export import Export, ExportOptions, export
from crcd.export.hub import check_hub, push
from crcd.train.options import require


@dataclass(frozen=True, kw_only=True)
class ExportConfig(ExportOptions):
    """Hand on a network of a run: as weights or as a program, checked against it on real images, with a model card."""

    runs: Runs
    """Folder of an ended crcd distill or crcd train run; after it those of other seeds, whose accuracy the card's
    spread is of."""
    push_to_hub: str | None = None
    """Upload the export to this repository of the Hugging Face hub, USER/NAME."""
    public: bool = False
    """Make a new repository public; it is private otherwise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_runs(self.runs, "crcd export")
        require(self.push_to_hub is not None or not self.public, "public", True, "name the repository by --push-to-hub")
        if self.push_to_hub is not None:
            check_hub(self.push_to_hub)


def run(words: Sequence[str]) -> None:
    """Export, show what was written, and upload it where that is asked for."""
    config = tyro.cli(ExportConfig, args=list(words), prog="crcd export")
    if config.data is not None:
        data, place = find_data(config.data, config.data_dir)
        config = replace(config, data=data, data_dir=place)
    console = make_console()
    done = export(config.runs, config, config.push_to_hub)
    _show(done, console)
    console.print(f"all of it is in {done.folder}", soft_wrap=True)
    if config.push_to_hub is not None:
        address = push(done.folder, config.push_to_hub, private=not config.public)
        console.print(f"uploaded to {address}", soft_wrap=True)


def _show(done: Export, console: Console) -> None:
    source, count = done.source, done.files[0].check.images
    title = f"{source.learner} ({source.description.model}) of {source.run}, compared on {count} images"
    console.print(title, soft_wrap=True)
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("file")
    for heading in ("bytes", "largest difference", "same class %"):
        table.add_column(heading, justify="right")
    for file in done.files:
        check = file.check
        table.add_row(file.name, f"{file.bytes:,}", f"{check.largest_difference:.1e}", f"{check.top1_agreement:.2f}")
    console.print(table)
    if done.int8 is not None:
        scores = f"top-1 {done.int8.top1:.2f} %, float32 {done.int8.float_top1:.2f} %"
        console.print(f"int8 on {done.int8.images} images: {scores}", soft_wrap=True)
