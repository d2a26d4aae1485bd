"""Writes the tables of README.md and results/README.md anew from the ledger and the files of the benchmarks.

python results/measured.py
"""

import json
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from crcd.cli.compare import baseline_of, plan
from crcd.compare.formats import markdown_table
from crcd.compare.ledger import Ledger
from crcd.compare.statistics import paired, signed, spread
from crcd.compare.table import tables

RESULTS = Path(__file__).parent
LEDGER = RESULTS / "ledger.jsonl"
PAGES = (RESULTS.parent / "README.md", RESULTS / "README.md")
Result = dict[str, Any]


def rows(heading: str, lines: Iterable[Iterable[object]]) -> str:
    """A table of Markdown; numbers with three digits, nothing for None."""
    shown = [heading, "|".join(["", *("---" for _ in heading.strip("|").split("|")), ""])]
    shown += [f"| {' | '.join(map(cell, line))} |" for line in lines]
    return "\n".join(shown)


def cell(value: object) -> str:
    """One cell of a table."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "" if value is None else str(value)


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


def beside(setup: str) -> str:
    """What CRCD adds to each method that a setup has alone and with it."""
    scores = scores_of(setup)
    pairs = {method: (f"crcd+{method}", method) for method in scores if f"crcd+{method}" in scores}
    return rows(
        "| method | seeds | with crcd, top-1 % | alone | difference | 95 % interval |", differences(scores, pairs)
    )


def less(baseline: str, setup: str, word: str | None) -> str:
    """Every method of a setup, or those with a word in their names, beside one of them."""
    scores = scores_of(setup)
    pairs = {name: (name, baseline) for name in scores if name != baseline and (word is None or word in name)}
    return rows(f"| method | seeds | top-1 % | {baseline} | difference | 95 % interval |", differences(scores, pairs))


Scores = dict[str, dict[tuple[int, str], float]]


def scores_of(setup: str) -> Scores:
    """Accuracy of a setup's methods by seed and teacher."""
    scores: Scores = {}
    for entry in Ledger(LEDGER).entries:
        if entry.setup == setup:
            scores.setdefault(entry.method, {})[entry.pair] = entry.result["top1"]
    return scores


def differences(scores: Scores, pairs: dict[str, tuple[str, str]]) -> list[tuple[object, ...]]:
    """A line for each two methods, paired by seed and teacher, with the scores of these alone."""
    lines = []
    for name, methods in pairs.items():
        one, other = (scores[method] for method in methods)
        if (difference := paired(one, other)) is not None:
            shared = [spread([of[pair] for pair in one if pair in other]) for of in (one, other)]
            interval = "" if difference.n == 1 else f"{signed(difference.low)} to {signed(difference.high)}"
            lines.append((name, difference.n, *shared, difference, interval))
    return lines


TABLES: dict[str, Callable[[Result], str]] = {f.__name__: f for f in (loss, step, peers, scale, epoch, processes)}


def filled(text: str) -> str:
    """The text with its tables made anew.

    What stands between ``<!-- FILE: begin -->`` and ``<!-- FILE: end -->`` is made of results/FILE.json, and what
    stands between ``<!-- crcd compare WORDS: begin -->`` and ``<!-- end -->`` is what that command draws of the ledger;
    between ``<!-- ledger SETUP: begin -->`` and ``<!-- end -->`` are all lines of a setup, with ``beside`` in place of
    ``ledger`` what CRCD adds to its other methods, with ``less BASELINE of`` its methods less that one, and with
    ``for WORD`` after it those alone that have the word in their names.
    """

    def compared(match: re.Match[str]) -> str:
        config, comparisons = plan([*shlex.split(match[1]), "--ledger", str(LEDGER)])
        entries = [entry for comparison in comparisons for entry in comparison.entries()]
        drawn = "\n\n".join(map(markdown_table, tables(entries, baseline_of(config, comparisons))))
        return f"<!-- crcd compare {match[1]}: begin -->\n{drawn}\n<!-- end -->"

    def kept(match: re.Match[str]) -> str:
        own = (entry for entry in Ledger(LEDGER).entries if entry.setup == match[1])
        entries = [
            replace(entry, teacher={**entry.teacher, "given": False}) for entry in own
        ]  # pairs, whichever teacher
        drawn = "\n\n".join(map(markdown_table, tables(entries, "kd")))
        return f"<!-- ledger {match[1]}: begin -->\n{drawn}\n<!-- end -->"

    def block(match: re.Match[str]) -> str:
        result = json.loads((RESULTS / f"{match[1]}.json").read_text(encoding="utf-8"))
        table = TABLES[result["benchmark"]](result)
        return f"<!-- {match[1]}: begin -->\n{table}\n\n{machine(result)}\n<!-- {match[1]}: end -->"

    def partners(match: re.Match[str]) -> str:
        return f"<!-- beside {match[1]}: begin -->\n{beside(match[1])}\n<!-- end -->"

    def lessened(match: re.Match[str]) -> str:
        baseline, setup, word = match.groups()
        words = f"less {baseline} of {setup}{f' for {word}' if word else ''}"
        return f"<!-- {words}: begin -->\n{less(baseline, setup, word)}\n<!-- end -->"

    less_block = r"<!-- less (\S+) of ([^>]*?)(?: for (\S+))?: begin -->\n.*?<!-- end -->"
    text = re.sub(less_block, lessened, text, flags=re.DOTALL)
    text = re.sub(r"<!-- beside ([^>]*): begin -->\n.*?<!-- end -->", partners, text, flags=re.DOTALL)
    text = re.sub(r"<!-- ledger ([^>]*): begin -->\n.*?<!-- end -->", kept, text, flags=re.DOTALL)
    text = re.sub(r"<!-- crcd compare ([^>]*): begin -->\n.*?<!-- end -->", compared, text, flags=re.DOTALL)
    return re.sub(r"<!-- ([\w-]+): begin -->\n.*?<!-- \1: end -->", block, text, flags=re.DOTALL)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
