"""From words on the command line to settings: recipe first, flags over it."""

import os
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Callable, Sequence
from dataclasses import field, fields, is_dataclass, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from crcd import distributed
from crcd.cli.data_folder import find_data
from crcd.data import default_recipe
from crcd.errors import CrcdError
from crcd.recipes import with_recipe
from crcd.train.config import DistillConfig, TrainOptions
from crcd.train.options import require
from crcd.train.run_folder import RunFolder

C = TypeVar("C", bound=TrainOptions)

_SEVERAL = "RUN [RUN ...]"
Runs = Annotated[
    tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar=_SEVERAL, help_behavior_hint="(one or more)")
]
"""Folders of runs, as the words after a command."""


def require_runs(runs: Sequence[Path], command: str) -> None:
    """Raise CrcdError unless there is a run."""
    if not runs:
        raise CrcdError(f"{command} needs the folder of a run, or of several: {command} {_SEVERAL}")


def require_file(out: Path | None) -> None:
    """Raise CrcdError if a file is named by ``--out`` and can't be there."""
    if out is not None:
        writable = os.access(out if out.exists() else out.parent, os.W_OK)
        require(writable and not out.is_dir(), "out", out, "name a file in a folder that exists and can be written to")


def read_arguments(default: C, adapt: Callable[[DistillConfig], C], words: Sequence[str], program: str) -> C:
    """Settings of a run: those of the run to resume, or flags over a recipe over the defaults.

    Args:
        default: what holds where neither flag nor recipe says otherwise.
        adapt: makes of the settings of distillation, which recipes are written in, those of this command.
        words: of the command line.
        program: command that they belong to, for its help.

    Raises:
        CrcdError: recipe or folder unknown or faulty, a word that is no flag, flags beside ``--resume``, or values that
            make no sense.
    """
    if words and not words[0].startswith("-"):
        raise CrcdError(f"{program} takes images as --data {words[0]} and settings as --recipe {words[0]}")
    first = ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--resume", "--recipe", "--data"):
        first.add_argument(flag)
    given, rest = first.parse_known_args(words)
    if given.resume is not None:
        return _resume(default, Path(given.resume), rest, given.recipe or given.data)
    data = DistillConfig().data if given.data is None else given.data
    recipe = given.recipe or default_recipe(find_data(data, None)[0])
    filled = replace(with_recipe(DistillConfig(), recipe), recipe=recipe)
    return parse_flags(adapt(filled), words, program)


def parse_flags(default: C, words: Sequence[str], program: str) -> C:
    """Flags over settings; ``--help`` shows them in the groups that the settings' class inherits from.

    Where the data set is a folder, the settings have the name of what it holds, and its place.
    """
    kind = type(default)
    values = {f.name: getattr(default, f.name) for f in fields(default)}
    groups = [base for base in kind.__mro__ if is_dataclass(base) and base.__bases__ == (object,)]
    boxes: list[tuple[str, Any, Any]] = [
        (
            group.__name__.removesuffix("Options").lower(),
            tyro.conf.OmitArgPrefixes[group],  # type: ignore[misc,valid-type]
            field(default=group(**{f.name: values[f.name] for f in fields(group)})),
        )
        for group in groups
    ]
    boxes += [(name, type(value), field(default=value)) for name, value in values.items() if is_dataclass(value)]
    form = make_dataclass("Form", boxes, frozen=True)
    with distributed.only_first_complains():
        filled: Any = tyro.cli(form, args=list(words), prog=program, description=kind.__doc__)
    answers: dict[str, Any] = {}
    for name, value in vars(filled).items():
        grouped = isinstance(value, tuple(groups))
        answers |= vars(value) if grouped else {name: value}
    config = kind(**answers)
    if isinstance(config, DistillConfig):
        for name in ("teacher_finetune", "teacher_lr"):  # a recipe may have them, and give way
            value = getattr(config, name)
            config.refuse_beside_weights(name.replace("_", "-"), given=bool(value) and value != values[name])
    beside = config.data == default.data or config.data_dir != default.data_dir  # else a recipe's, which gives way
    data, place = find_data(config.data, config.data_dir if beside else None)
    return config if data == config.data else replace(config, data=data, data_dir=place)


def _resume(default: C, folder: Path, rest: list[str], other: str | None) -> C:
    """Settings of the run in the folder, but for those that may change between its sittings."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--time-budget", "--time_budget", dest="time_budget")
    parser.add_argument("--device")
    parser.add_argument("--workers", type=int)
    flags = ["--time-budget", "--device", "--workers"]
    if hasattr(default, "report"):
        parser.add_argument("--report", action=BooleanOptionalAction)
        flags.append("--no-report")
    allowed, extra = parser.parse_known_args(rest)
    if extra or other:
        raise CrcdError(
            f"--resume takes everything from {folder}/config.yaml: beside it give only {', '.join(flags[:-1])} and "
            f"{flags[-1]}, not {' '.join(extra) or other}"
        )
    config = RunFolder(folder).read_config(default)
    workers = config.workers if allowed.workers is None else allowed.workers
    device = allowed.device or config.device
    changes: dict[str, Any] = {"resume": folder, "time_budget": allowed.time_budget, "device": device}
    if getattr(allowed, "report", None) is not None:
        changes["report"] = allowed.report
    return replace(config, workers=workers, **changes)
