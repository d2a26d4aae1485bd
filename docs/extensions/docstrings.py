"""Docstrings are plain text: in them ``|x|`` is a length and ``*`` a product, no markup."""

import re

from sphinx.application import Sphinx

LITERAL = re.compile(r"(``.*?``|`[^`]*`|:math:`[^`]*`)")

COLON = "\ue000"
"""Stands for a colon while napoleon reads."""


def plain(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Escape what reStructuredText would take for markup, but for literals and formulas."""
    in_formula = False
    for place, line in enumerate(lines):
        if line.startswith(".. math::"):
            in_formula = True
        elif line and not line.startswith(" "):
            in_formula = False
        if not in_formula:
            lines[place] = escaped(line)


def escaped(line: str) -> str:
    """The line with its bars and stars as they are, outside of literals."""
    parts = LITERAL.split(line)
    parts[::2] = [re.sub(r"([|*])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def hide_colons(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Keep from napoleon the colons of a setting's docstring: what is before the first one is not its type."""
    if what == "attribute":
        lines[:] = [line.replace(":", COLON) for line in lines]


def show_colons(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Undo ``hide_colons``."""
    lines[:] = [line.replace(COLON, ":") for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    """Before napoleon, whose own markup is not plain text."""
    app.connect("autodoc-process-docstring", plain, priority=100)
    app.connect("autodoc-process-docstring", hide_colons, priority=100)
    app.connect("autodoc-process-docstring", show_colons, priority=900)
    return {"parallel_read_safe": True}
