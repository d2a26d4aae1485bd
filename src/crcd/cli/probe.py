"""crcd probe."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from crcd.cli.arguments import Runs, require_file, require_runs
from crcd.cli.data_folder import find_data
from crcd.cli.progress import make_console, shown
from crcd.data import OF_ONES_OWN, Batch, DataSet, Loader, load_dataset
from crcd.evaluate.feature_set import feature_sets
from crcd.evaluate.pretrained import read_run
from crcd.evaluate.probe import ProbeOptions, probe
from crcd.files import file_stem, write_text
from crcd.train.device import describe, find_device
from crcd.train.outcome import commit


@dataclass(frozen=True, kw_only=True)
class ProbeConfig(ProbeOptions):
    """Classify the images of another data set by the frozen features of the networks of runs."""

    runs: Runs
    """Folders of ended crcd distill or crcd train runs."""
    data: str = "digits"
    """Data set: the folder that holds it, a name of `crcd list data`, or hf/NAME of the hub."""
    data_dir: Path | None = None
    """Where a data set lies that is named; digits and hf/NAME need none."""
    download: bool = False
    """Download the data set into --data-dir if it is absent."""
    skip_corrupt: bool = False
    """Leave out images that can't be decoded (they are counted) instead of stopping."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    run_code: bool = False
    """Build networks that are code of your own (PACKAGE.MODULE:FACTORY), which runs that code."""
    out: Path | None = None
    """File for the figures, JSON; None writes those of each run to probe-DATA.json in its folder, of a folder of
    images to probe-DATA-FOLDER.json."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_runs(self.runs, "crcd probe")
        require_file(self.out)


def run(words: Sequence[str]) -> None:
    """Probe, show and write the figures."""
    config = tyro.cli(ProbeConfig, args=list(words), prog="crcd probe")
    began = time.monotonic()
    device = find_device(config.device)
    folders = dict.fromkeys(config.runs)
    networks = [network for folder in folders for network in read_run(folder, run_code=config.run_code)]
    data, place = find_data(config.data, config.data_dir)
    config = replace(config, data=data, data_dir=place)
    console = make_console()

    def load(size: int) -> DataSet:
        return load_dataset(
            config.data,
            config.data_dir,
            image_size=size,
            download=config.download,
            skip_corrupt=config.skip_corrupt,
        )

    def progress(loader: Loader, title: str) -> Iterable[Batch]:
        return shown(loader.epoch(0), len(loader), title, console)

    found = feature_sets(networks, load, config, device, progress)
    entries = [probe(features, config) for features in shown(found, len(found), "probing", console)]
    first = found[0]
    figures = {
        "data": config.data,
        "data_dir": None if config.data_dir is None else str(config.data_dir),
        "classes": first.num_classes,
        "train_images": len(first.train.labels_N),
        "held_out_images": len(first.held_out.labels_N),
        "test_images": len(first.test.labels_N),
        "seed": config.seed,
        "commit": commit(),
        "device": describe(device),
        "seconds": round(time.monotonic() - began, 3),
    }
    _show(figures, entries, config.probes, console)
    for path, own in _files(config, entries).items():
        write_text(path, f"{json.dumps({**figures, 'networks': own}, indent=2)}\n")
        console.print(f"all of it is in {path}", soft_wrap=True)


def _show(figures: dict[str, Any], entries: list[dict[str, Any]], probes: Sequence[str], console: Console) -> None:
    title = f"{figures['data']}: top-1 % on {figures['test_images']} images, {figures['train_images']} to learn from"
    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0))
    for heading in ("run", "", "network", "trained on"):
        table.add_column(heading, overflow="fold")
    for heading in ("width", *probes):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in entries:
        scores = (_percent(entry[name]["top1"]) for name in probes)
        names = (entry[key] for key in ("run", "name", "model", "trained_on"))
        table.add_row(*names, str(entry["feature_dim"]), *scores)
    console.print(table)


def _percent(score: float | None) -> str:
    return "diverged" if score is None else f"{score:.2f}"


def _files(config: ProbeConfig, entries: list[dict[str, Any]]) -> dict[Path, list[dict[str, Any]]]:
    """What to write where: all of it into one file, or what is of a run into its folder."""
    if config.out is not None:
        return {config.out: entries}
    data = config.data.replace("/", "_")
    if config.data in OF_ONES_OWN and config.data_dir is not None:
        data += f"-{config.data_dir.resolve().name}"
    name = f"{file_stem(f'probe-{data}')}.json"
    return {run / name: [entry for entry in entries if entry["run"] == str(run)] for run in config.runs}
