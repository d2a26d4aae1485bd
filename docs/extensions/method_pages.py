"""A page for each method, made of its docstrings, its settings and the ledger when the site is built."""

import inspect
from collections.abc import Iterable
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

import crcd.methods
from crcd.compare.ledger import Entry, Ledger
from crcd.compare.statistics import Spread, spread
from crcd.methods import METHODS, PLAIN
from crcd.methods.method import Method
from crcd.methods.two_stage import TwoStage
from crcd.relation import RelationConfig
from docstrings import escaped

LEDGER = Path(__file__).parents[2] / "results" / "ledger.jsonl"
RECIPE = "digits"
"""Its cells are on the pages: it has been run with every method."""


def write(app: Sphinx) -> None:
    """Write ``methods/NAME.rst`` and ``methods/index.rst`` into the source folder of the site."""
    folder = Path(app.srcdir) / "methods"
    folder.mkdir(exist_ok=True)
    entries = [entry for entry in Ledger(LEDGER).entries if entry.setup == RECIPE]
    pages = {PLAIN: plain_page(entries), **{name: page(name, *METHODS[name], entries) for name in METHODS}}
    for name, text in {**pages, "index": index(entries)}.items():
        write_changed(folder / f"{name}.rst", text)


def write_changed(path: Path, text: str) -> None:
    """Write a file unless it holds the text already: sphinx reads again what is newer."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def index(entries: list[Entry]) -> str:
    """All methods, what they are and what they reached."""
    names = [PLAIN, *METHODS]
    rows = [(f":doc:`{name} <{name}>`", escaped(summary(name)), shown(measured(name, entries))) for name in names]
    heads = ("method", "in a word", "digits, top-1 %")
    return (
        "\n\n".join(
            (
                title("Methods"),
                "What ``crcd distill --methods`` and ``crcd.build_method`` take. Names are added up by +: ``crcd+kd`` "
                "is the sum of both. A method of your own is one class: :doc:`../extending`.",
                table(heads, rows, widths="15 60 25"),
                "The last column is the default run of ``crcd distill`` with the settings of :doc:`../results`, mean "
                "and standard deviation over ten seeds. It is one small job: it does not rank the methods for yours.",
                f".. toctree::\n   :hidden:\n\n{indented(names)}",
            )
        )
        + "\n"
    )


def plain_page(entries: list[Entry]) -> str:
    """The page of the student alone."""
    about = attribute_docs(crcd.methods)["", "PLAIN"]
    return "\n\n".join((title(PLAIN), about, *results(PLAIN, entries))) + "\n"


def page(name: str, kind: type[Method], settings: type[Any], entries: list[Entry]) -> str:
    """The page of a method."""
    parts = [
        title(f"{name}: {summary(name).rstrip('.')}"),
        f".. code-block:: console\n\n   crcd distill --methods ce kd {name}",
        f".. autoclass:: {kind.__module__}.{kind.__name__}()",
        *needs(kind),
        title("Settings", "-"),
        *([f".. py:class:: {settings.__module__}.{settings.__name__}"] if settings is not RelationConfig else []),
        f"On the command line ``--{name}.SETTING VALUE`` for all learners, or ``{name}@{name}.SETTING=VALUE`` for one; "
        f'in Python ``crcd.build_method({{"{name}": {settings.__name__}(...)}}, ...)``.',
        table(("setting", "default", "meaning"), settings_rows(settings), widths="24 16 60"),
        *results(name, entries),
        *functions(kind),
    ]
    return "\n\n".join(parts) + "\n"


def summary(name: str) -> str:
    """The first line of the method's module."""
    if name == PLAIN:
        return "The student alone, without a teacher."
    return (inspect.getmodule(METHODS[name][0]).__doc__ or "").splitlines()[0]


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
    hints = get_type_hints(settings)
    docs: dict[str, str] = {}
    for base in reversed(settings.__mro__[:-1]):
        found = attribute_docs(inspect.getmodule(base))
        docs |= {attribute: text for (owner, attribute), text in found.items() if owner == base.__name__}
    return [(f"``{f.name}``", f"``{default(f)}``", meaning(docs[f.name], hints[f.name])) for f in fields(settings)]


def default(setting: "Field[Any]") -> str:
    """As it is written on the command line."""
    value = setting.default_factory() if setting.default is MISSING else setting.default  # type: ignore[misc]
    return str(value)


def meaning(text: str, kind: Any) -> str:
    """The docstring, after the values it may have."""
    options = f"{' or '.join(f'``{option}``' for option in get_args(kind))}. " if get_origin(kind) is Literal else ""
    return options + escaped(text)


def attribute_docs(module: Any) -> dict[tuple[str, str], str]:
    """Docstrings of a module's attributes by class and name, on one line."""
    found = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()
    return {key: " ".join(" ".join(lines).split()) for key, lines in found.items()}


def measured(name: str, entries: list[Entry]) -> Spread | None:
    """Accuracy over the seeds; None where there is none."""
    top1 = [entry.result["top1"] for entry in entries if entry.method == name]
    return spread(top1) if top1 else None


def shown(value: Spread | None) -> str:
    """Mean and standard deviation."""
    return "" if value is None else str(value)


def results(name: str, entries: list[Entry]) -> Iterable[str]:
    """What the learners in whose name the method is came to."""
    learners = dict.fromkeys(entry.method for entry in entries)
    own = [learner for learner in learners if name in learner.partition("@")[0].split("+")]
    rows = []
    for learner in own:
        seeds = [entry for entry in entries if entry.method == learner]
        rows.append((f"``{learner}``", str(len(seeds)), shown(measured(learner, entries))))
    if not rows:
        return []
    test = "Digits, resnet20 to resnet8, 250 labelled images, 360 test images, last epoch: :doc:`../results`."
    return [title("Measured", "-"), table(("learner", "seeds", "top-1 %"), rows, widths="50 20 30"), test]


def functions(kind: type[Method]) -> Iterable[str]:
    """The public functions and modules beside the method, which a user may call alone."""
    module = inspect.getmodule(kind)
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
