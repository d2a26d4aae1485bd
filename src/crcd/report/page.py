"""The page: figures in sections, and everything that they need, in one file."""

import json
import math
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import altair
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from crcd.report.charts.parts import colour
from crcd.report.figure import Chart, Columns, Figure
from crcd.report.pictures import Pictures
from crcd.report.sections.answer import Answer
from crcd.report.source import Source

CONFIG: dict[str, Any] = {
    "background": None,
    "font": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": "var(--grid)",
        "domainColor": "var(--grid)",
        "tickColor": "var(--grid)",
    },
    "legend": {"labelColor": "var(--muted)", "labelFontSize": 12, "symbolSize": 110},
    "rule": {"color": "var(--faint)"},
}
"""How all charts look; the style sheet knows the colours by light and dark."""


@dataclass(frozen=True)
class Section:
    """A part of the page under one heading, with what holds of all its figures."""

    title: str
    note: str
    figures: dict[str, Figure]


def render(source: Source, answers: list[Answer], note: str, sections: list[Section], pictures: Pictures | None) -> str:
    """The page's HTML."""
    charts: dict[str, Chart] = {}
    places: dict[int, str] = {}
    for section in sections:
        for figure in section.figures.values():
            for chart in figure.charts:
                places[id(chart)] = f"chart-{len(charts)}"
                charts[places[id(chart)]] = chart
    subject = source.subject
    data = {
        "config": CONFIG,
        "choice": {"focus": subject.focus, "shown": subject.learners},
        "charts": {
            name: {"spec": chart.spec, "tables": _coded(chart.tables), "ofFocus": chart.of_focus}
            for name, chart in charts.items()
        },
    }
    environment = Environment(
        loader=PackageLoader("crcd.report"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_function"] = _compact
    own = files("crcd.report") / "templates"
    return environment.get_template("page.html").render(
        subject=subject,
        learners=[{"name": name, "colour": colour(1 + i)} for i, name in enumerate(subject.learners)],
        colours={name: colour(i) for i, name in enumerate(source.cast.names)},
        answers=answers,
        note=note,
        sections=sections,
        place=lambda chart: places[id(chart)],
        pictures=pictures,
        data=data,
        library=_library(),
        style=(own / "page.css").read_text(encoding="utf-8"),
        script=(own / "page.js").read_text(encoding="utf-8"),
    )


def _coded(tables: dict[str, Columns]) -> dict[str, dict[str, Any]]:
    """The tables, with columns of words that come again and again as each word once and its places."""
    return {name: {field: _words(column) for field, column in columns.items()} for name, columns in tables.items()}


def _words(column: list[Any]) -> Any:
    if not column or not all(isinstance(value, str) for value in column):
        return column
    places = {word: place for place, word in enumerate(dict.fromkeys(column))}
    return {"words": list(places), "at": [places[word] for word in column]}


def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that may stand within a page."""
    version = altair.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", version)
    return bundle.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def _compact(value: Any, **_: Any) -> str:
    """JSON without spaces, numbers with five digits, what is not finite as null."""
    return json.dumps(_plain(value), separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(own) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    return value
