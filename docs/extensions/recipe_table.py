"""The recipes as a table, made of their files when the site is built; docs/results.md includes it."""

from pathlib import Path

from sphinx.application import Sphinx

from crcd.recipes import HERE, recipe_names, with_recipe
from crcd.train.config import DistillConfig
from method_pages import table, write_changed

HEADS = ("recipe", "what it is")


def write(app: Sphinx) -> None:
    """Write ``recipes.rst`` into the source folder of the site."""
    rows = []
    for name in recipe_names():
        config = with_recipe(DistillConfig(), name)
        base = "" if name.startswith("ablation/") else f"{config.teacher} to {config.student}, {config.epochs} epochs. "
        rows.append((f"``{name}``", base + comment(name)))
    text = "\n\n".join(
        (
            "A recipe is a short YAML file of settings. ``crcd distill --recipe NAME`` takes one, ``crcd compare "
            "NAME`` measures methods by it, ``A+B`` lays one over another, a path ending in ``.yaml`` is one of yours.",
            table(HEADS, rows, widths="35 65"),
        )
    )
    write_changed(Path(app.srcdir) / "recipes.rst", text + "\n")


def comment(name: str) -> str:
    """What the first lines of the file say."""
    lines = (HERE / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    said = []
    for line in lines:
        if not line.startswith("#"):
            break
        said.append(line.lstrip("# "))
    return " ".join(said)


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the table before the sources are read."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
