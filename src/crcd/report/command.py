"""The command that a run's settings stand for."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from crcd.recipes import with_recipe
from crcd.train.config import DistillConfig

LEFT_OUT = ("recipe", "resume", "out", "time_budget")
"""Settings of a place or a sitting: another run has its own."""


def distill_command(config: DistillConfig) -> list[str]:
    """``crcd distill`` and the flags for what differs from the recipe: words that give the same numbers again.

    Raises:
        CrcdError: the recipe was a file that is not there any more.
    """
    usual = DistillConfig() if config.recipe is None else with_recipe(DistillConfig(), config.recipe)
    recipe = [] if config.recipe is None else ["--recipe", config.recipe]
    return ["crcd", "distill", *recipe, *_flags(config, usual, "")]


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
