"""crcd compare."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from crcd import distributed
from crcd.cli.arguments import parse_flags
from crcd.cli.progress import make_console, make_reporter
from crcd.cli.table import show_grid
from crcd.compare.cell import Setup
from crcd.compare.formats import csv_rows, latex, markdown
from crcd.compare.ledger import Entry, Ledger
from crcd.compare.run import Comparison
from crcd.compare.table import Column, columns, tables
from crcd.config_file import read_yaml
from crcd.errors import CrcdError, few
from crcd.files import file_stem, write_text
from crcd.methods import method_parts
from crcd.recipes import FILES, with_recipe
from crcd.train.config import DistillConfig
from crcd.train.options import require
from crcd.train.stop import RunStopped

USUAL = "kd"
"""The baseline unless another is named."""
OF_ALL = ("baseline", "draw", "ledger", "out", "time_budget")
"""Options that all lines of a queue share."""


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What is compared, and where it is kept."""

    seeds: int = 5
    """Runs of each method: with the seed of --seed and those after it."""
    baseline: str | None = None
    """Method that the others are paired with; None takes kd, or the first one where kd is none of them."""
    ledger: Path | None = None
    """JSONL file of what is measured, which may hold more than this; None takes ledger.jsonl of --out."""
    draw: bool = False
    """Train nothing: draw the tables of what the ledger has, and say what is missing."""

    def __post_init__(self) -> None:
        require(self.seeds >= 1, "seeds", self.seeds, "give 1 or more")
        if self.baseline is not None:
            method_parts(self.baseline)


@dataclass(frozen=True, kw_only=True)
class CompareConfig(CompareOptions, DistillConfig):
    """Compare methods over seeds and pairs of networks: crcd compare RECIPE... [options].

    Each recipe is a column; options change all of them. What the ledger has is not trained again, and an interrupted
    comparison goes on where it was. A YAML file with a list of such lines as its queue stands for all of them, one
    after the other. Without a recipe, the tables of a whole --ledger are drawn.
    """

    def __post_init__(self) -> None:
        CompareOptions.__post_init__(self)
        DistillConfig.__post_init__(self)
        advice = f"from --seed {self.seed} on there are {2**31 - self.seed}, give fewer or a lower --seed"
        require(self.seed + self.seeds <= 2**31, "seeds", self.seeds, advice)


def run(words: Sequence[str]) -> None:
    """Measure what is missing, then show the tables and write them beside the ledger."""
    console = make_console()
    config, comparisons, baselines = plan(words)
    if not comparisons:
        assert config.ledger is not None
        entries = Ledger(config.ledger).entries
        if not entries:
            raise CrcdError(f"--ledger {config.ledger} holds no measured cell")
        baseline = _chosen(config.baseline, [entry.method for entry in entries])
        _show(columns(entries, {entry.setup: baseline for entry in entries}), console, config.out)
        return
    stopped: RunStopped | None = None
    if not config.draw:
        try:
            for comparison in comparisons:
                comparison.run(make_reporter(console))
        except RunStopped as stop:
            stopped = stop
    entries = [entry for comparison in comparisons for entry in comparison.entries()]
    if entries:
        _show(columns(entries, baselines), console, comparisons[0].folder)
    if stopped is not None:
        reason = str(stopped).split("; continue")[0]
        command = f"{distributed.program()} {shlex.join(['compare', *words])}"
        raise RunStopped(f"{reason}; continue with the same command: {command}", stopped.status)
    _complain_of_missing(comparisons, entries)


class Plan(NamedTuple):
    """What the words of a command ask for.

    Attributes:
        config: settings of the first recipe.
        comparisons: one, or one for each line of a queue.
        baselines: what the method that gains are paired with is called in each setup, by its label.
    """

    config: CompareConfig
    comparisons: list[Comparison]
    baselines: dict[str, str]


class _Column(NamedTuple):
    """A recipe with the options, and what the setup calls the baseline: they may change its settings."""

    config: CompareConfig
    setup: Setup
    baseline: str


def plan(words: Sequence[str]) -> Plan:
    """The comparisons that the words ask for.

    Args:
        words: recipes, then options; or a YAML file whose ``queue`` is a list of such words, then options for all of
            them; or no recipe but ``--ledger``, which asks for no comparison.

    Raises:
        CrcdError: a mistake in the words, neither a recipe nor an existing ledger is named, a baseline is named that
            is none of the methods, or lines of a queue differ in what they share.
    """
    recipes = list(takewhile(lambda word: not word.startswith("-"), words))
    flags = words[len(recipes) :]
    if not recipes:
        config = _read(None, flags)
        if config.ledger is None:
            raise CrcdError("crcd compare needs a recipe (see crcd list recipes), or --ledger to draw all of a ledger")
        if not config.ledger.is_file():
            raise CrcdError(f"--ledger {config.ledger}: there is no such file; name a recipe to begin one")
        return Plan(config, [], {})
    lines = _queue(recipes)
    asked = [_read_line([*line, *flags]) for line in lines or [recipes]]
    config = asked[0][0].config
    for number, own in enumerate(asked, 1):
        if differing := [name for name in OF_ALL if getattr(own[0].config, name) != getattr(config, name)]:
            flag = f"--{differing[0].replace('_', '-')}"
            where = f"{recipes[0]}: line {number} of 'queue'"
            raise CrcdError(
                f"{where} has another {flag} than line 1: give it once, crcd compare {recipes[0]} {flag} ..."
            )
    named = Path(recipes[0]).stem if lines else "+".join(column.setup.slug for column in asked[0])
    folder = config.out or Path("runs") / f"compare-{file_stem(named)}"
    ledger = Ledger(config.ledger or folder / "ledger.jsonl")
    comparisons = []
    for own in asked:
        seeds = range(own[0].config.seed, own[0].config.seed + own[0].config.seeds)
        comparisons.append(Comparison([column.setup for column in own], seeds, ledger, folder, config.budget))
    return Plan(config, comparisons, _baselines([column for own in asked for column in own]))


def _queue(recipes: Sequence[str]) -> list[list[str]]:
    """Lines of a queue, as words; none where the only recipe is no queue."""
    if len(recipes) > 1 or not recipes[0].endswith(FILES) or "queue" not in (content := read_yaml(Path(recipes[0]))):
        return []
    lines = content["queue"]
    if not (isinstance(lines, list) and lines and all(isinstance(line, str) for line in lines)):
        raise CrcdError(f"{recipes[0]}: 'queue' is a list of what follows crcd compare, such as digits --seeds 3")
    return [_split(line, f"{recipes[0]}: line {number} of 'queue'") for number, line in enumerate(lines, 1)]


def _split(line: str, where: str) -> list[str]:
    """The words of a line of a queue, of which there must be some."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise CrcdError(f"{where} can't be split into words ({error}): {line}") from error
    if not words:
        raise CrcdError(f"{where} is empty: write what follows crcd compare, or take it out")
    return words


def _read_line(words: Sequence[str]) -> list[_Column]:
    recipes = list(takewhile(lambda word: not word.startswith("-"), words))
    if not recipes:
        raise CrcdError(f"a line of a queue begins with a recipe, not with {words[0]}")
    found = []
    for recipe in recipes:
        config = _read(recipe, words[len(recipes) :])
        settings = config.run_settings()
        (baseline,) = Setup.of(replace(settings, methods=(config.baseline or USUAL,)), recipe).methods
        found.append(_Column(config, Setup.of(settings, recipe), baseline))
    return found


def _read(recipe: str | None, flags: Sequence[str]) -> CompareConfig:
    default = CompareConfig() if recipe is None else with_recipe(CompareConfig(), recipe)
    config = parse_flags(replace(default, recipe=recipe), flags, "crcd compare RECIPE...")
    if config.recipe != recipe:
        raise CrcdError(f"--recipe is {config.recipe}: recipes come first, crcd compare {config.recipe} ...")
    if config.resume is not None:
        raise CrcdError("--resume is not needed: the same crcd compare command goes on where it was")
    return config


def _baselines(asked: Sequence[_Column]) -> dict[str, str]:
    if any(column.baseline in column.setup.methods for column in asked):
        return {column.setup.label: column.baseline for column in asked}
    named = asked[0].baseline if asked[0].config.baseline is not None else None
    baseline = _chosen(named, [name for column in asked for name in column.setup.methods])
    return {column.setup.label: baseline for column in asked}


def _chosen(baseline: str | None, methods: Sequence[str]) -> str:
    if baseline is None:
        return USUAL if USUAL in methods else methods[0]
    if baseline not in methods:
        raise CrcdError(f"--baseline {baseline} is none of the methods: {' '.join(dict.fromkeys(methods))}")
    return baseline


def _show(found: Sequence[Column], console: Console, folder: Path | None) -> None:
    """Print the tables; write them into the folder in three forms."""
    drawn = tables(found)
    for table in drawn:
        show_grid(table, console)
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "table.md", markdown(drawn))
    write_text(folder / "table.tex", latex(drawn))
    write_text(folder / "table.csv", csv_rows(found))
    console.print(f"the tables are in {folder}/table.md, .tex and .csv", soft_wrap=True)


def _complain_of_missing(comparisons: Sequence[Comparison], entries: Sequence[Entry]) -> None:
    """Raises ``CrcdError`` if cells have no number."""
    count = sum(len(comparison.cells()) for comparison in comparisons)
    missing = count - len(entries)
    failures = [failure for comparison in comparisons for failure in comparison.failures]
    if failures:
        cells: dict[str, list[str]] = {}
        for failure in failures:
            cells.setdefault(failure.reason, []).append(f"{failure.method}, {failure.setup}, seed {failure.seed}")
        told = "; ".join(f"{few(of, 2)}: {reason}" for reason, of in cells.items())
        raise CrcdError(f"{missing} of {count} cells failed ({told})")
    if missing:
        where = comparisons[0].ledger.path
        raise CrcdError(f"{missing} of {count} cells are not in {where}: leave out --draw to measure them")
