"""Good settings by name, each a YAML file beside this one."""

from pathlib import Path
from typing import Any

from crcd.errors import unknown
from crcd.train.config_file import read_yaml

HERE = Path(__file__).parent


def recipe_names() -> list[str]:
    """Names that ``read_recipe`` knows."""
    return sorted(path.stem for path in HERE.glob("*.yaml"))


def read_recipe(name: str) -> tuple[Path, dict[str, Any]]:
    """File and settings of a recipe.

    Args:
        name: of a recipe in this package, or a path that ends in .yaml or .yml.

    Raises:
        CrcdError: there is no such recipe, or its file is no YAML mapping.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
    elif name in recipe_names():
        path = HERE / f"{name}.yaml"
    else:
        raise unknown("recipe", name, recipe_names())
    return path, read_yaml(path)
