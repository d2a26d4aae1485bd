"""Good settings by name, each a YAML file beside this one or in a folder of it."""

from pathlib import Path
from typing import Any, TypeVar

from crcd.config_file import fill, read_yaml
from crcd.errors import CrcdError, unknown
from crcd.train.config import DistillConfig

C = TypeVar("C", bound=DistillConfig)

FILES = (".yaml", ".yml")
"""How the name of a recipe ends that is a file of one's own."""
HERE = Path(__file__).parent


def recipe_names() -> list[str]:
    """Names of the recipes of this package, such as ``cifar100/resnet56-resnet20``."""
    return sorted(path.relative_to(HERE).with_suffix("").as_posix() for path in HERE.rglob("*.yaml"))


def with_recipe(config: C, name: str) -> C:
    """The settings with those of a recipe put in place.

    Args:
        config: what holds where the recipe says nothing.
        name: of a recipe in this package, or a path that ends in .yaml or .yml; several joined by + lie one over the
            other, the last on top, as in ``digits+ablation/relation``.

    Raises:
        CrcdError: there is no such recipe, or it is no YAML mapping of settings and their values.
    """
    first, *others = name.split("+")
    layers = [*_layers(first, ()), *(_read(other) for other in others)]
    for path, settings in layers:
        config = fill(config, {key: value for key, value in settings.items() if key != "base"}, path)
    return config


def _layers(name: str, above: tuple[str, ...]) -> list[tuple[Path, dict[str, Any]]]:
    """A recipe's file and settings, after those of the recipe that its ``base`` names."""
    path, settings = _read(name)
    if "base" not in settings:
        return [(path, settings)]
    if name in above:
        raise CrcdError(f"{path}: it is, in the end, its own base: {' -> '.join([*above, name])}")
    return [*_layers(str(settings["base"]), (*above, name)), (path, settings)]


def _read(name: str) -> tuple[Path, dict[str, Any]]:
    if name.endswith(FILES):
        path = Path(name)
    elif name in recipe_names():
        path = HERE / f"{name}.yaml"
    else:
        raise unknown("recipe", name, recipe_names())
    return path, read_yaml(path)
