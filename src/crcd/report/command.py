"""The command that a run's settings stand for."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from crcd.data import default_recipe
from crcd.recipes import with_recipe
from crcd.train.config import DistillConfig

LEFT_OUT = ("recipe", "resume", "out", "time_budget")
"""Settings of a place or a sitting: another run has its own."""


def distill_command(config: DistillConfig) -> list[str]:
    """``crcd distill`` and the flags for what differs from the recipe: words that give the same numbers again.

    Settings without a recipe, as those of Python may be, are told by the data set's, which the command would take.

    Raises:
        CrcdError: the recipe was a file that is not there any more.
    """
    recipe = config.recipe or default_recipe(config.data)
    usual = with_recipe(DistillConfig(), recipe)
    return ["crcd", "distill", "--recipe", recipe, *_flags(config, usual, "")]


def _flags(settings: Any, usual: Any, prefix: str) -> list[str]:
    words: list[str] = []
    for f in fields(settings):
        value, other = getattr(settings, f.name), getattr(usual, f.name)
        name = f"{prefix}{f.name}".replace("_", "-")
        if is_dataclass(value):
            words += _flags(value, other, f"{name}.")
        elif value != other and f.name not in LEFT_OUT:
            words += _flag(name, value)
    return words


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        head, _, last = name.rpartition(".")
        return [f"--{name}" if value else f"--{head}.no-{last}" if head else f"--no-{last}"]
    if isinstance(value, tuple):
        return [f"--{name}", *map(str, value)]
    return [f"--{name}", str(value.absolute() if isinstance(value, Path) else value)]
