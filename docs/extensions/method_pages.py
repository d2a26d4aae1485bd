"""A page for each method, made of its docstrings, its settings and the ledger when the site is built."""

import inspect
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

from crcd.compare.ledger import Ledger
from crcd.compare.statistics import Pair, Spread, spread_over_seeds
from crcd.methods import METHODS, PLAIN
from crcd.methods.method import Method
from crcd.methods.two_stage import TwoStage
from crcd.relation import RelationConfig
from docstrings import escaped

LEDGER = Path(__file__).parents[2] / "results" / "ledger.jsonl"
RECIPE = "digits"
"""Its cells are on the pages: it has been run with every method."""

Measured = dict[str, Spread]
"""Accuracy of each learner over its seeds."""


def write(app: Sphinx) -> None:
    """Write ``methods/NAME.rst`` and ``methods/index.rst`` into the source folder of the site."""
    folder = Path(app.srcdir) / "methods"
    folder.mkdir(exist_ok=True)
    top1 = measured()
    pages = {"index": index(top1), PLAIN: plain_page(top1), **{name: page(name, top1) for name in METHODS}}
    for stale in set(folder.glob("*.rst")) - {folder / f"{name}.rst" for name in pages}:
        stale.unlink()
    for name, text in pages.items():
        write_changed(folder / f"{name}.rst", text)


def measured() -> Measured:
    """What the ledger has of the recipe."""
    top1: dict[str, dict[Pair, float]] = defaultdict(dict)
    for entry in Ledger(LEDGER).entries:
        if entry.setup == RECIPE:
            top1[entry.method][entry.pair] = entry.result["top1"]
    return {learner: spread_over_seeds(values) for learner, values in top1.items()}


def write_changed(path: Path, text: str) -> None:
    """Write a file unless it holds the text already: sphinx reads again what is newer."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def index(top1: Measured) -> str:
    """All methods, what they are and what they reached."""
    names = [PLAIN, *METHODS]
    rows = [(f":doc:`{name} <{name}>`", escaped(summary(name)), str(top1.get(name, ""))) for name in names]
    parts = (
        title("Methods"),
        "What ``crcd distill --methods`` and ``crcd.build_method`` take. Names are added up by +: ``crcd+kd`` is the "
        "sum of both. A method of your own is one class: :doc:`../extending`.",
        table(("method", "in short", "digits, top-1 %"), rows, widths="15 60 25"),
        "The last column is the default run of ``crcd distill`` with the settings of :doc:`../results`, mean and "
        "standard deviation over seeds. It is one small job: it does not rank the methods for yours.",
        f".. toctree::\n   :hidden:\n\n{indented(names)}",
    )
    return "\n\n".join(parts) + "\n"


def plain_page(top1: Measured) -> str:
    """The page of the student alone."""
    return "\n\n".join((title(PLAIN), attribute_docs("crcd.methods")["", "PLAIN"], *results(PLAIN, top1))) + "\n"


def page(name: str, top1: Measured) -> str:
    """The page of a method."""
    kind, settings = METHODS[name]
    learners = " ".join(dict.fromkeys((PLAIN, "kd", name)))
    parts = (
        title(f"{name}: {summary(name).rstrip('.')}"),
        f".. code-block:: console\n\n   crcd distill --methods {learners}",
        f".. autoclass:: {kind.__module__}.{kind.__name__}()",
        *needs(kind),
        title("Settings", "-"),
        *([f".. py:class:: {settings.__module__}.{settings.__name__}"] if settings is not RelationConfig else []),
        f"On the command line ``--{name}.SETTING VALUE`` for all learners, or ``{name}@{name}.SETTING=VALUE`` for one; "
        f'in Python ``crcd.build_method({{"{name}": {settings.__name__}(...)}}, ...)``.',
        table(("setting", "default", "meaning"), settings_rows(settings), widths="24 16 60"),
        *results(name, top1),
        *functions(kind),
    )
    return "\n\n".join(parts) + "\n"


def summary(name: str) -> str:
    """The first line of the method's module."""
    if name == PLAIN:
        return "The student alone, without a teacher."
    return (sys.modules[METHODS[name][0].__module__].__doc__ or "").splitlines()[0]


def needs(kind: type[Method]) -> Iterable[str]:
    """What its networks and images must be."""
    found = []
    if kind.uses_maps:
        found.append("It reads feature maps: networks of ``crcd list models`` or of timm.")
    if kind.uses_preactivations:
        found.append("It reads them before their activation: networks of ``crcd list models`` alone.")
    if kind.one_class:
        found.append("It needs the one class of each image: no mixup, no cutmix, no unlabelled images.")
    if issubclass(kind, TwoStage):
        found.append("It has a first stage of its own, which takes epochs beside those of ``--epochs``.")
    return ["\n".join(f"- {line}" for line in found)] if found else []


def settings_rows(settings: type[Any]) -> list[tuple[str, str, str]]:
    """Name, default and meaning of each setting; inherited ones first."""
    hints, usual = get_type_hints(settings), settings()
    docs: dict[str, str] = {}
    for base in reversed(settings.__mro__[:-1]):
        found = attribute_docs(base.__module__)
        docs |= {attribute: text for (owner, attribute), text in found.items() if owner == base.__name__}
    names = [f.name for f in fields(settings)]
    return [(f"``{name}``", f"``{getattr(usual, name)}``", meaning(docs[name], hints[name])) for name in names]


def meaning(text: str, kind: Any) -> str:
    """The docstring, after the values it may have."""
    options = f"{' or '.join(f'``{option}``' for option in get_args(kind))}. " if get_origin(kind) is Literal else ""
    return options + escaped(text)


def attribute_docs(module: str) -> dict[tuple[str, str], str]:
    """Docstrings of a module's attributes by class and name, on one line."""
    found = ModuleAnalyzer.for_module(module).find_attr_docs()
    return {key: " ".join(" ".join(lines).split()) for key, lines in found.items()}


def results(name: str, top1: Measured) -> Iterable[str]:
    """What the learners in whose name the method is came to."""
    own = [learner for learner in top1 if name in learner.partition("@")[0].split("+")]
    own.sort(key=lambda learner: -top1[learner].mean)
    if not own:
        return []
    rows = [(f"``{learner}``", str(top1[learner].n), str(top1[learner])) for learner in own]
    test = "Digits, resnet20 to resnet8, 250 labelled images, 360 test images, last epoch: :doc:`../results`."
    return [title("Measured", "-"), table(("learner", "seeds", "top-1 %"), rows, widths="50 20 30"), test]


def functions(kind: type[Method]) -> Iterable[str]:
    """The public functions and modules beside the method, which a user may call alone."""
    module = sys.modules[kind.__module__]
    own = [
        thing
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", None) == module.__name__ and not name.startswith("_")
    ]
    found = [f".. autofunction:: {module.__name__}.{each.__name__}" for each in own if inspect.isfunction(each)]
    found += [
        f".. autoclass:: {module.__name__}.{each.__name__}"
        for each in own
        if inspect.isclass(each) and each is not kind and not each.__name__.endswith("Config")
    ]
    return [title("Parts", "-"), *found] if found else []


def title(text: str, line: str = "=") -> str:
    """A heading."""
    return f"{escaped(text)}\n{line * (len(escaped(text)) + 1)}"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]], widths: str) -> str:
    """A list table."""
    lines = [f".. list-table::\n   :header-rows: 1\n   :widths: {widths}\n"]
    for row in (heads, *rows):
        lines += [f"   {'*' if not place else ' '} - {cell}" for place, cell in enumerate(row)]
    return "\n".join(lines)


def indented(lines: Iterable[str]) -> str:
    """The body of a directive."""
    return "\n".join(f"   {line}" for line in lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before the sources are read."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
