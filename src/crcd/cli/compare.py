"""crcd compare."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import takewhile
from pathlib import Path

from rich.console import Console

from crcd.cli.arguments import parse_flags
from crcd.cli.progress import make_console, make_reporter
from crcd.cli.table import grid
from crcd.compare.cell import Setup
from crcd.compare.formats import csv_rows, latex, markdown
from crcd.compare.ledger import Entry, Ledger
from crcd.compare.run import Comparison
from crcd.compare.table import columns, tables
from crcd.errors import CrcdError
from crcd.methods import method_parts
from crcd.recipes import with_recipe
from crcd.train.config import DistillConfig
from crcd.train.files import write_text
from crcd.train.options import require
from crcd.train.stop import RunStopped


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What is compared, and where it is kept."""

    seeds: int = 5
    """Runs of each method: with the seed of --seed and those after it."""
    baseline: str = "kd"
    """Method that the others are paired with."""
    ledger: Path | None = None
    """JSONL file of what is measured, which may hold more than this; None takes ledger.jsonl of --out."""
    draw: bool = False
    """Train nothing: draw the tables of what the ledger has, and say what is missing."""

    def __post_init__(self) -> None:
        require(self.seeds >= 1, "seeds", self.seeds, "give 1 or more")
        method_parts(self.baseline)


@dataclass(frozen=True, kw_only=True)
class CompareConfig(CompareOptions, DistillConfig):
    """Compare methods over seeds and pairs of networks: crcd compare RECIPE... [options].

    Each recipe is a column; options change all of them. What the ledger has is not trained again, and an interrupted
    comparison goes on where it was. Without a recipe, the tables of a whole --ledger are drawn.
    """

    def __post_init__(self) -> None:
        CompareOptions.__post_init__(self)
        DistillConfig.__post_init__(self)


def run(words: Sequence[str]) -> None:
    """Measure what is missing, then show the tables and write them beside the ledger."""
    console = make_console()
    config, comparison = plan(words)
    if comparison is None:
        assert config.ledger is not None
        _show(Ledger(config.ledger).entries, config, console, config.out)
        return
    stopped: RunStopped | None = None
    if not config.draw:
        try:
            comparison.run(make_reporter(console))
        except RunStopped as stop:
            stopped = stop
    entries = comparison.entries()
    if entries:
        _show(entries, config, console, comparison.folder)
    if stopped is not None:
        reason = str(stopped).split("; continue")[0]
        command = shlex.join(["crcd", "compare", *words])
        raise RunStopped(f"{reason}; continue with the same command: {command}", stopped.status)
    _complain_of_missing(comparison, entries)


def plan(words: Sequence[str]) -> tuple[CompareConfig, Comparison | None]:
    """Settings of the first recipe, and the comparison that the words ask for; None without a recipe.

    Raises:
        CrcdError: a mistake in the words, or neither a recipe nor an existing ledger is named.
    """
    recipes = list(takewhile(lambda word: not word.startswith("-"), words))
    flags = words[len(recipes) :]
    configs = [_read(recipe, flags) for recipe in recipes] or [_read(None, flags)]
    config = configs[0]
    if not recipes:
        if config.ledger is None:
            raise CrcdError("crcd compare needs a recipe (see crcd list recipes), or --ledger to draw all of a ledger")
        if not config.ledger.is_file():
            raise CrcdError(f"--ledger {config.ledger}: there is no such file; name a recipe to begin one")
        return config, None
    setups = [Setup.of(_distill(own), recipe) for own, recipe in zip(configs, recipes, strict=True)]
    folder = config.out or Path("runs") / "+".join(["compare", *(setup.slug for setup in setups)])[:120]
    ledger = Ledger(config.ledger or folder / "ledger.jsonl")
    seeds = range(config.seed, config.seed + config.seeds)
    return config, Comparison(setups, seeds, ledger, folder, config.budget)


def _read(recipe: str | None, flags: Sequence[str]) -> CompareConfig:
    default = CompareConfig() if recipe is None else with_recipe(CompareConfig(), recipe)
    config = parse_flags(replace(default, recipe=recipe), flags, "crcd compare RECIPE...")
    if config.recipe != recipe:
        raise CrcdError(f"--recipe is {config.recipe}: recipes come first, crcd compare {config.recipe} ...")
    if config.resume is not None:
        raise CrcdError("--resume is not needed: the same crcd compare command goes on where it was")
    return config


def _distill(config: CompareConfig) -> DistillConfig:
    return DistillConfig(**{f.name: getattr(config, f.name) for f in fields(DistillConfig)})


def _show(entries: Sequence[Entry], config: CompareConfig, console: Console, folder: Path | None) -> None:
    """Print the tables; write them into the folder in three forms."""
    drawn = tables(entries, config.baseline)
    for table in drawn:
        console.print(grid(table))
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "table.md", markdown(drawn))
    write_text(folder / "table.tex", latex(drawn))
    write_text(folder / "table.csv", csv_rows(columns(entries), config.baseline))
    console.print(f"the tables are in {folder}/table.md, .tex and .csv", soft_wrap=True)


def _complain_of_missing(comparison: Comparison, entries: Sequence[Entry]) -> None:
    """Raises ``CrcdError`` if cells have no number."""
    missing = len(comparison.cells()) - len(entries)
    if comparison.failures:
        reasons = dict.fromkeys(f"{f.method}, {f.setup}: {f.reason}" for f in comparison.failures)
        raise CrcdError(f"{missing} of {len(comparison.cells())} cells failed ({'; '.join(reasons)})")
    if missing:
        raise CrcdError(
            f"{missing} of {len(comparison.cells())} cells are not in {comparison.ledger.path}: leave out --draw to "
            "measure them"
        )
