"""What the benchmarks measured, as tables of Markdown: one function for each kind of file, named as its benchmark."""

from collections.abc import Callable
from statistics import median
from typing import Any

from markdown_rows import cell, rows

Result = dict[str, Any]


def machine(result: Result) -> str:
    """The line below a table."""
    on = result["machine"]
    processor = (
        on.get("gpu")
        or f"{on['cpu']}, {on['vector_instructions']}, {on['threads']} thread{'s' if on['threads'] > 1 else ''}"
    )
    return f"{processor}, torch {on['torch']}, commit {on['commit'][:7]}"


def loss(result: Result) -> str:
    """One contrast: time, ratio to the released form, memory."""
    lines = []
    for case in result["cases"]:
        size, ratio = case["size"], case["released_over_this"]
        sizes = ", ".join(f"{name} = {size[name]}" for name in ("B", "A", "K", "D"))
        over = ratio["median"] if ratio else None
        lines.append((sizes, case["label"], case["ms"]["median"], over, case["peak_mib"]))
    return rows("| size | form | ms | released / this | peak MiB |", lines)


def step(result: Result) -> str:
    """Whole steps, then the parts of one."""
    lines = [(s["mode"], s["step"], s["ms"]["median"], s["over_bare"]) for s in result["steps"]]
    table = rows("| mode | step | ms | over bare |", lines)
    parts = result["parts"]
    rounds = parts["rounds_ms"]
    medians = ", ".join(f"{name} {cell(median(ms[name] for ms in rounds))}" for name in rounds[0])
    below = f"Parts of the eager step of `crcd`, K = {parts['K']}, ms: {medians}; loss {parts['loss_share']:.0%} of it."
    return f"{table}\n\n{below}"


def peers(result: Result) -> str:
    """Steps and losses beside the peers', and the ratios within a round."""
    contenders = [(c["name"], c["ms"]["median"], c["peak_mib"]) for c in result["cases"]]
    ratios = [(r["peer"], r["ours"], r["median"], f"{cell(r['min'])} to {cell(r['max'])}") for r in result["ratios"]]
    return "\n\n".join(
        (
            rows("| contender | ms | peak MiB |", contenders),
            rows("| time of | over that of | median | least to greatest |", ratios),
        )
    )


def scale(result: Result) -> str:
    """How a whole call grows, one size at a time."""
    lines = []
    for case in result["cases"]:
        name = case["series"]
        parts = [case[f"{part}_ms"]["median"] for part in ("whole", "contrast", "draw", "update")]
        lines.append((f"{name} = {case['size'][name]:,}", *parts, case["peak_mib"]))
    exponents = ", ".join(f"{name} {slopes['whole']:.2f}" for name, slopes in result["slopes"].items())
    table = rows("| size | whole, ms | contrast | draw | update | peak MiB |", lines)
    return f"{table}\n\nExponent p of ms = c size^p: {exponents}."


def epoch(result: Result) -> str:
    """Loaders, then training under a live and a cached teacher."""
    loaders = [
        (e["data"], e["loader"], e["ms"]["median"], 1e3 * e["images"] / e["ms"]["median"]) for e in result["loaders"]
    ]
    training = [
        (e["step"], e["images"], e["ms"]["median"], e["seconds_for_50000_extrapolated"], e["live_over_cached"])
        for e in result["training"]
    ]
    return "\n\n".join(
        (
            rows("| images | loader | ms | images/s |", loaders),
            rows("| training | images | ms | s for 50,000, extrapolated | live / cached |", training),
        )
    )


def processes(result: Result) -> str:
    """Steps of so many processes together."""
    batch = result["size"]["batch"]
    steps = [(s["step"], s["ms"]["median"], 1e3 * batch / s["ms"]["median"]) for s in result["steps"]]
    return f"Processes: {result['processes']}\n\n" + rows("| step | ms | images/s |", steps)


TABLES: dict[str, Callable[[Result], str]] = {f.__name__: f for f in (loss, step, peers, scale, epoch, processes)}
