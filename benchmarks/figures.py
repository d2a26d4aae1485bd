"""Draws the figures of the documents from the files that the benchmarks wrote. See benchmarks/README.md.

python benchmarks/figures.py docs/figures results/loss-cpu.json results/step-cpu.json ...
"""

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {
    "released": "#b2182b",
    "CRD": "#7f7f7f",
    "compiled": "#e08214",
    "streaming": "#2166ac",
    "native": "#1b7837",
    "triton": "#762a83",
}
PARTS = ("#2166ac", "#92c5de", "#d6604d", "#7f7f7f", "#1b7837", "#e08214", "#762a83")
OWNERS = {"ours": "#2166ac", "repdistiller": "#7f7f7f", "crcd": "#b2182b"}
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "crcd",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


def _machine(result: dict[str, Any]) -> str:
    """What was measured on, for a title."""
    machine = result["machine"]
    if machine["device"] == "cuda":
        return machine["gpu"]
    return f"{machine['cpu']}, {machine['threads']} thread{'s' if machine['threads'] > 1 else ''}"


def _log_axes(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
    axes.grid(which="minor", visible=False)


def _ticks(axes: Axes, values: Iterable[int]) -> None:
    """Marks the sizes that were measured."""
    kept = sorted(set(values))
    axes.set_xticks(kept, [f"{value:,}" for value in kept], rotation=45)
    axes.set_xticks([], minor=True)


def _loss_curves(result: dict[str, Any], value: Callable[[dict[str, Any]], float | None], ylabel: str) -> Figure:
    """One line a form over the number of negatives."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    cases = [c for c in result["cases"] if c["part"] == "negatives" and value(c) is not None]
    forms = dict.fromkeys(c["label"] for c in cases if not (c["masked"] and c["objective"] == "nce"))
    for label in forms:
        points = [c for c in cases if c["label"] == label]
        first = points[0]
        axes.plot(
            [c["size"]["K"] for c in points],
            [value(c) for c in points],
            color=COLOURS.get(first["name"], "black"),
            linestyle="-" if first["shared"] else "--",
            marker="s" if first["objective"] == "infonce" else "o",
            markersize=4,
            label=label,
        )
    _log_axes(axes, "negatives K", ylabel)
    _ticks(axes, (c["size"]["K"] for c in cases))
    size = cases[0]["size"]
    axes.set_title(f"B = {size['B']}, A = {size['A']}, D = {size['D']}, {_machine(result)}", loc="left")
    figure.legend(loc="outside right upper")
    return figure


def loss(result: dict[str, Any]) -> dict[str, Figure]:
    """Time and memory of every form over the number of negatives."""
    memory = {"cpu": "peak memory over the inputs, MiB", "cuda": "peak memory allocated over the inputs, MiB"}
    return {
        "time": _loss_curves(result, lambda c: c["ms"]["median"], "forward and backward, ms"),
        "memory": _loss_curves(result, lambda c: c["peak_mib"] or None, memory[result["machine"]["device"]]),
    }


def scale(result: dict[str, Any]) -> dict[str, Figure]:
    """A panel for each size that was varied: whole call, contrast, draw and update."""
    series = list(result["slopes"])
    figure = Figure(figsize=(2.6 * len(series), 3.2), layout="constrained")
    panels = figure.subplots(1, len(series), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, series, strict=True):
        cases = [c for c in result["cases"] if c["series"] == name]
        sizes = [c["size"][name] for c in cases]
        for part, colour in zip(("whole", "contrast", "draw", "update"), PARTS, strict=False):
            axes.plot(sizes, [c[f"{part}_ms"]["median"] for c in cases], ".-", color=colour, label=part)
        _log_axes(axes, name, "ms" if axes is panels[0] else "")
        _ticks(axes, sizes)
        axes.set_title(f"exponent {result['slopes'][name]['whole']:.2f}", loc="left")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    figure.suptitle(f"one call of CRCDLoss, {_machine(result)}", x=0, ha="left")
    return {"": figure}


def step(result: dict[str, Any]) -> dict[str, Figure]:
    """The parts of a training step of CRCD as one bar."""
    figure = Figure(figsize=(7.5, 1.8), layout="constrained")
    axes = figure.add_subplot()
    left = 0.0
    rounds = result["parts"]["rounds_ms"]
    for name, colour in zip(rounds[0], PARTS, strict=False):
        width = median(ms[name] for ms in rounds)
        axes.barh(0, width, left=left, color=colour, label=f"{name} {width:.0f} ms")
        left += width
    axes.set(xlabel="ms", yticks=[])
    sizes = result["sizes"]
    pair = f"{sizes['teacher']} to {sizes['student']}, batch {sizes['batch']}, K = {result['parts']['K']:,}"
    axes.set_title(f"{pair}\n{_machine(result)}", loc="left")
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside right upper")
    return {"": figure}


def peers(result: dict[str, Any]) -> dict[str, Figure]:
    """A line for each contender, whole steps and losses alone: median, least and greatest time."""
    cases = sorted(result["cases"], key=lambda c: (c["what"], c["ms"]["median"]))[::-1]
    figure = Figure(figsize=(7.5, 0.6 + 0.3 * len(cases)), layout="constrained")
    axes = figure.add_subplot()
    for row, case in enumerate(cases):
        ms = case["ms"]
        axes.plot([ms["min"], ms["max"]], [row, row], color=OWNERS[case["owner"]])
        axes.plot(ms["median"], row, "o", color=OWNERS[case["owner"]])
        axes.annotate(f"{ms['median']:,.0f}", (ms["max"], row), (6, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(cases)), [c["name"] for c in cases])
    axes.set(xscale="log", xlabel="ms; line: least to greatest")
    axes.margins(x=0.12)
    size = result["size"]
    pair = f"{size['teacher']} to {size['student']}, batch {size['batch']}"
    axes.set_title(f"{pair}\n{_machine(result)}", loc="left")
    return {"": figure}


DRAWN = {"loss": loss, "scale": scale, "step": step, "peers": peers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the figures go; made where it does not exist")
    parser.add_argument("results", type=Path, nargs="+", metavar="FILE.json", help="what benchmarks wrote")
    parser.add_argument("--format", choices=["svg", "png"], default="svg")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for path in args.results:
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SystemExit(f"error: {path} can't be read ({error}): name a file that a benchmark wrote") from error
        if result.get("benchmark") not in DRAWN:
            raise SystemExit(f"error: {path} is no file of {', '.join(DRAWN)} of this version: run the benchmark anew")
        with rc_context(STYLE):
            for part, figure in DRAWN[result["benchmark"]](result).items():
                target = args.folder / f"{path.stem}{'-' if part else ''}{part}.{args.format}"
                metadata = {"Date": None} if args.format == "svg" else None
                figure.savefig(target, dpi=150, metadata=metadata)
                print(target)


if __name__ == "__main__":
    main()
