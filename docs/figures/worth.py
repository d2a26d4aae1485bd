"""Draws the pictures of docs/worth.md: python docs/figures/worth.py docs/figures."""

import json
import math
from collections import defaultdict

from drawing import RESULTS, draw
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from crcd.compare.ledger import Entry, Ledger
from jobs import JOBS
from ledger_tables import gains_of

LEARNERS = {"kd": "#7f7f7f", "embeddings remembered": "#d6604d", "elements remembered": "#2166ac"}
PANELS = {
    "digits": "digits-held-out",
    "20 classes,\n20 epochs": "short",
    "a quarter of them,\n80 epochs": "quarter",
    "narrow student,\n40 epochs": "narrow",
}
"""Titles of the jobs."""
FORMS = {
    "kd@kd.ce_weight=1.0": ("KD, cross-entropy at 1", "#7f7f7f"),
    "crd+kd": ("CRD and KD", "#7f7f7f"),
    "dkd": ("DKD", "#7f7f7f"),
    "dist": ("DIST", "#7f7f7f"),
    "wttm": ("WTTM", "#7f7f7f"),
    "itrd": ("ITRD", "#7f7f7f"),
    "luminet": ("LumiNet", "#7f7f7f"),
    "crcd+kd@crcd.sample_share=0.0": ("CRCD and KD: relations alone", "#92c5de"),
    "crcd+kd@crcd.sample_share=1.0": ("CRCD and KD: samples alone", "#f4a582"),
    "crcd+kd": ("CRCD and KD: half of each", "#2166ac"),
    "crcd+itrd": ("CRCD and ITRD", "#2166ac"),
}
"""Learners, what they are called and how they are drawn."""


def gains() -> Figure:
    """What learners gain over KD in each job: mean and 95 % interval over seeds, of which there are three or more."""
    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    rows = range(len(FORMS))
    for axes, (title, job) in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS.items(), strict=True):
        found = gains_of(job, "kd")
        for row, (method, (_, colour)) in enumerate(FORMS.items()):
            if (gain := found.get(method)) is not None and gain.n > 2:
                axes.plot([gain.low, gain.high], [row, row], color=colour, linewidth=1.5)
                axes.plot(gain.mean, row, "o", color=colour, markersize=5)
        axes.axvline(0, color="#b0b0b0", linewidth=1)
        axes.set(title=title)
    figure.axes[0].set_yticks(rows, [name for name, _ in FORMS.values()])
    figure.axes[0].invert_yaxis()
    figure.supxlabel("top-1 less that of KD, points: mean and 95 % interval")
    return figure


def memory() -> Figure:
    """Accuracy and the bound over the epochs, by what the memory holds; a thin line a seed, a thick one their mean."""
    curves: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for line in (RESULTS / "memory-cpu.jsonl").read_text(encoding="utf-8").splitlines():
        run = json.loads(line)
        for name, values in run["by_epoch"].items():
            curves[name][run["learner"]].append(values)
    figure = Figure(figsize=(7.5, 3), layout="constrained")
    for axes, (name, title) in zip(
        figure.subplots(1, 2), {"top1": "top-1, %", "mi_bound": "bound of feature relations, nats"}.items(), strict=True
    ):
        for learner, colour in LEARNERS.items():
            runs = curves[name].get(learner, [])
            for values in runs:
                axes.plot(range(1, len(values) + 1), values, color=colour, alpha=0.35, linewidth=0.8)
            if runs:
                mean = [sum(at) / len(at) for at in zip(*runs, strict=True)]
                axes.plot(range(1, len(mean) + 1), mean, color=colour, linewidth=2, label=learner)
        axes.set(xlabel="epoch", title=title, xticks=range(0, 21, 5))
        if name == "mi_bound":
            axes.axhline(math.log(1025), color="#b0b0b0", linestyle="--", linewidth=1)
            axes.annotate("log(K + 1)", (20, math.log(1025)), ha="right", va="top", color="#707070")
    figure.axes[0].legend(loc="lower right")
    return figure


def bound() -> Figure:
    """What a student gains over KD, over its bounds: a dot a learner and seed of the short job."""
    entries = [entry for entry in Ledger(RESULTS / "ledger.jsonl").entries if entry.setup == JOBS["short"]]
    kd = {entry.pair: entry.result["top1"] for entry in entries if entry.method == "kd"}
    figure = Figure(figsize=(7.5, 3), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2, sharey=True), ("mi_bound", "gradient_mi_bound"), strict=True):
        for kind, colour in {"embeddings": "#d6604d", "elements": "#2166ac"}.items():
            own = [e for e in entries if _contrasts_relations(e, name, kind) and e.pair in kd]
            bounds, gains = [e.result[name] for e in own], [e.result["top1"] - kd[e.pair] for e in own]
            axes.plot(bounds, gains, "o", color=colour, markersize=4, alpha=0.7, label=kind)
        rho = spearmanr(bounds, gains)
        axes.set_title(f"elements: rank correlation {rho.statistic:.2f}, p = {rho.pvalue:.2f}")
        axes.axhline(0, color="#b0b0b0", linewidth=1)
        axes.set(xlabel=f"bound of {'gradient' if name.startswith('grad') else 'feature'} relations, last epoch, nats")
    figure.axes[0].set_ylabel("top-1 less that of kd, points")
    figure.axes[0].legend(loc="center left", title="remembered")
    return figure


def _contrasts_relations(entry: Entry, bound: str, remembered: str) -> bool:
    """Whether a learner beside KD contrasts relations alone at temperature 0.1, with this memory and this bound."""
    crcd = entry.settings.get("crcd", {})
    asked = {"temperature": 0.1, "sample_share": 0.0, "exclude": "exact", "remember": remembered}
    return entry.method.startswith("crcd+kd") and asked.items() <= crcd.items() and bound in entry.result


def failures() -> Figure:
    """How often a relation is found and how hard it pulls, over the distance that the teacher sees, a line a seed."""
    runs = json.loads((RESULTS / "failures-cpu.json").read_text(encoding="utf-8"))["runs"]
    figure = Figure(figsize=(7.5, 3), layout="constrained")
    found, pull = figure.subplots(1, 2)
    for run in runs:
        for kind, colour in {"one class": "#d6604d", "two classes": "#2166ac"}.items():
            distance = [part["distance"] for part in run[kind]]
            style = {"color": colour, "marker": "o", "markersize": 3, "linewidth": 0.8, "alpha": 0.7}
            label = kind if run is runs[0] else None
            found.plot(distance, [100 * part["found"] for part in run[kind]], label=label, **style)
            pull.plot(distance, [part["pull"] for part in run[kind]], **style)
    found.set(xlabel="distance of sample and anchor", title="relations found, %")
    pull.set(xlabel="distance of sample and anchor", title="length of the gradient", ylim=(0, None))
    found.legend(loc="lower right", title="sample and anchor of")
    return figure


FIGURES = {"gains": gains, "memory": memory, "bound": bound, "failures": failures}


if __name__ == "__main__":
    draw(FIGURES, __doc__)
