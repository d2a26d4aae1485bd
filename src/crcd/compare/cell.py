"""One cell of a comparison: a setup (everything but method and seed), a method, a seed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from crcd.config_file import WITHOUT_EFFECT, to_plain
from crcd.methods import METHODS, method_parts
from crcd.methods.names import join_name, split_name
from crcd.recipes import FILES, with_recipe
from crcd.train.config import DistillConfig

PER_CELL = frozenset({"methods", "seed", *METHODS})
"""Settings that are not part of a setup: they differ between its cells."""


@dataclass(frozen=True)
class Cell:
    """What one measured number stands for; equal cells are the same experiment.

    Attributes:
        setup: hash of all settings that the methods of one column share, of the teacher's weights if it came with
            some, and of images that no name stands for.
        method: hash of the methods and all their settings.
        seed: of the student.
    """

    setup: str
    method: str
    seed: int

    @classmethod
    def of(cls, config: DistillConfig, learner: str, teacher: str | None, images: str | None = None) -> Self:
        """The cell of a learner of a run.

        Args:
            config: settings of the run.
            learner: its name.
            teacher: digest of the weights that were given for the teacher; None where the settings say how to train it.
            images: digest of the images; None where the name of the data set says which they are.
        """
        method = {part: to_plain(own) for part, own in config.method_settings(learner).items()}
        return cls(setup_hash(config, teacher, images), _hash(method), config.seed)


@dataclass(frozen=True)
class Setup:
    """A column of a comparison.

    Attributes:
        recipe: name of its recipe; without folder and ending where that is a file.
        label: the recipe, and what differs from it.
        config: settings of its runs; those of the methods are the recipe's.
        methods: names of its learners, which say where they differ from the recipe's settings.
    """

    recipe: str
    label: str
    config: DistillConfig
    methods: tuple[str, ...]

    @classmethod
    def of(cls, config: DistillConfig, recipe: str) -> Self:
        """The setup of a run's settings, told by what differs from those of a recipe."""
        base = with_recipe(DistillConfig(), recipe)
        shared, usual = shared_settings(config), shared_settings(base)
        differing = [f"{name}={_text(value)}" for name, value in shared.items() if value != usual[name]]
        methods = dict.fromkeys(_told_by(config, base, learner) for learner in config.methods)
        plain = replace(config, methods=tuple(methods), **{name: getattr(base, name) for name in METHODS})
        called = "+".join(Path(name).stem if name.endswith(FILES) else name for name in recipe.split("+"))
        return cls(called, " ".join([called, *differing]), plain, tuple(methods))

    @property
    def slug(self) -> str:
        """The label as a part of a folder's name."""
        return "".join(c if c.isalnum() or c in "=.+-_" else "_" for c in self.label).strip("_")[:80]


def setup_hash(config: DistillConfig, teacher: str | None, images: str | None) -> str:
    """The setup of a ``Cell``, whatever its methods; arguments are those of ``Cell.of``."""
    return _hash({**shared_settings(config), "teacher_weights": teacher, "images": images})


def shared_settings(config: DistillConfig) -> dict[str, Any]:
    """Settings with an effect on the numbers that all cells of a setup share; without the path of the weights."""
    left_out = PER_CELL.union(WITHOUT_EFFECT, ["teacher_weights"])
    return {name: value for name, value in to_plain(config).items() if name not in left_out}


def _told_by(config: DistillConfig, base: DistillConfig, learner: str) -> str:
    """The learner's name with all that differs from the recipe's settings of its methods."""
    parts = method_parts(learner)
    settings, usual = config.method_settings(learner), base.method_settings("+".join(parts) or learner)
    changes = {part: _differing(to_plain(settings[part]), to_plain(usual[part])) for part in parts}
    return join_name(parts or split_name(learner)[0], changes)


def _differing(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value != usual[name]}


def _text(value: Any) -> str:
    return "[" + " ".join(map(str, value)) + "]" if isinstance(value, list) else str(value)


def _hash(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
