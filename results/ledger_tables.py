"""What lines of the ledger say of two methods or two jobs, and probes of networks, as tables of Markdown.

A job is a setup of the ledger, or a name in ``jobs.py``.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean

from scipy.stats import spearmanr

from crcd.compare.ledger import Ledger
from crcd.compare.statistics import Difference, Pair, paired, paired_over_seeds, spread, spread_over_seeds
from crcd.methods.names import join_name, split_name
from jobs import JOBS
from markdown_rows import rows

RESULTS = Path(__file__).parent
LEDGER = RESULTS / "ledger.jsonl"
Scores = dict[str, dict[Pair, float]]
"""Accuracy of each method by seed and teacher."""
JOIN = " + "
"""Between the names of jobs whose mean is taken, of every seed that all have."""


def beside(job: str, change: str) -> str:
    """What CRCD, with a change of its settings, adds to each method that a job has alone and with it."""
    scores = scores_of(job)
    added = {method: f"crcd+{method}@{change}" for method in scores}
    pairs = {method: (name, method) for method, name in added.items() if name in scores}
    return rows(
        "| method | seeds | with crcd, top-1 % | alone | difference | 95 % interval |", differences(scores, pairs)
    )


def less(baseline: str, job: str, seeds: str | None, methods: str | None) -> str:
    """Every method of a job, or those that are named, beside one of them, over all seeds or those that are listed.

    The baseline of several jobs may be another method in each, ``kd + dist``.
    """
    scores = scores_of(job)
    if JOIN in baseline:
        own = [scores_of(name)[method] for name, method in zip(job.split(JOIN), baseline.split(JOIN), strict=True)]
        scores[baseline] = {pair: mean(top1[pair] for top1 in own) for pair in own[0] if all(pair in o for o in own)}
    if seeds is not None:
        own_seeds = {int(seed) for seed in seeds.split()}
        scores = {name: {pair: of[pair] for pair in of if pair[0] in own_seeds} for name, of in scores.items()}
    chosen = (name for name in scores if name != baseline) if methods is None else methods.split()
    pairs = {name: (name, baseline) for name in chosen}
    return rows(f"| method | seeds | top-1 % | {baseline} | difference | 95 % interval |", differences(scores, pairs))


def by_teacher(baseline: str, job: str, methods: str) -> str:
    """Methods beside one of them where a teacher counts once, with the mean over its seeds."""
    numbers: dict[str, int] = {}
    scores: Scores = {
        name: {(numbers.setdefault(teacher, len(numbers)), str(seed)): of[seed, teacher] for seed, teacher in of}
        for name, of in scores_of(job).items()
    }
    pairs = {name: (name, baseline) for name in methods.split()}
    return rows(
        f"| method | teachers | top-1 % | {baseline} | difference | 95 % interval |", differences(scores, pairs)
    )


def side_by_side(jobs: str, baseline: str, methods: str) -> str:
    """What methods gain over one of them in each of several jobs, where that has both for two seeds or more."""
    gains = {job: gains_of(job, baseline) for job in jobs.split(", ")}
    lines = [(name, *(_told(of.get(name)) for of in gains.values())) for name in methods.split()]
    return rows(f"| method, less {baseline} | {' | '.join(gains)} |", lines)


def _told(gain: Difference | None) -> str:
    return "" if gain is None else f"{gain} ({gain.interval}; {gain.n})"


def costs(jobs: str, baseline: str, methods: str) -> str:
    """How many times as long a student's own part of the training took as that of one learner of the same run.

    The teacher's part, which all learners of a run share, is in neither. Mean, standard deviation and number of runs.
    """
    lines: dict[str, list[object]] = {name: [name] for name in methods.split()}
    for job in jobs.split(", "):
        entries = [entry for entry in Ledger(LEDGER).entries if entry.setup == JOBS.get(job, job)]
        names = short_names({entry.method for entry in entries})
        runs: dict[str, dict[str, float]] = {}
        for entry in entries:
            if (seconds := entry.result["seconds"]) is not None:
                runs.setdefault(f"{entry.pair} {entry.run}", {})[names[entry.method]] = seconds
        for name, line in lines.items():
            ratios = [run[name] / run[baseline] for run in runs.values() if name in run and baseline in run]
            line.append(f"{(over := spread(ratios))} ({over.n})" if ratios else None)
    return rows(f"| method, over {baseline} | {' | '.join(jobs.split(', '))} |", lines.values())


def ranks(job: str, other: str) -> str:
    """What each method that two jobs have gains over KD in either, and the rank correlation of these gains.

    Methods of one seed alone are left out.
    """
    one, two = gains_of(job, "kd"), gains_of(other, "kd")
    shared = sorted(one.keys() & two.keys(), key=lambda name: -one[name].mean)
    lines = [(name, one[name].n, one[name], two[name].n, two[name]) for name in shared]
    table = rows("| method | seeds | less kd, here | seeds | less kd, there |", lines)
    both = [[gains[name].mean for name in shared] for gains in (one, two)]
    rho = spearmanr(*both)
    return f"{table}\n\nRank correlation (Spearman) {rho.statistic:.2f}, p = {rho.pvalue:.2f}, {len(shared)} methods."


def probe(file: str, baseline: str) -> str:
    """How well other images are told apart by the features of networks, each less one by the first probe, by run."""
    result = json.loads((RESULTS / file).read_text(encoding="utf-8"))
    networks = result["networks"]
    kinds = [kind for kind in ("linear", "sgd", "knn") if kind in networks[0]]
    scores: dict[str, dict[str, list[float]]] = {}
    for network in networks:
        scores.setdefault(network["name"], {})[network["run"]] = [network[kind]["top1"] for kind in kinds]
    first = {name: {run: top1[0] for run, top1 in by_run.items()} for name, by_run in scores.items()}
    lines: list[tuple[object, ...]] = []
    for name, by_run in scores.items():
        difference = paired(first[name], first[baseline]) if name != baseline else None
        told = (difference, difference.interval) if difference else (None, None)
        lines.append((name, len(by_run), *map(spread, zip(*by_run.values(), strict=True)), *told))
    heading = f"| network | runs | {' | '.join(kinds)} | {kinds[0]} less {baseline} | 95 % interval |"
    return f"{rows(heading, lines)}\n\n{result['train_images']:,} images of {result['classes']} classes to learn from, \
{result['test_images']:,} to score; commit {result['commit'][:7]}."


def scores_of(job: str) -> Scores:
    """Accuracy of the methods of a job, or their mean in several, by their ``short_names``."""
    setups = [JOBS.get(name, name) for name in job.split(JOIN)]
    entries = [entry for entry in Ledger(LEDGER).entries if entry.setup in setups]
    names = short_names({entry.method for entry in entries})
    by_setup: dict[str, dict[Pair, dict[str, float]]] = {}
    for entry in entries:
        of_method = by_setup.setdefault(names[entry.method], {})
        of_method.setdefault(entry.pair, {})[entry.setup] = entry.result["top1"]
    return {
        method: {pair: mean(top1.values()) for pair, top1 in of_method.items() if len(top1) == len(setups)}
        for method, of_method in by_setup.items()
    }


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Names without a number of negatives that all CRCD, or all CRD, among them have."""
    short = {name: split_name(name) for name in names}
    for part in ("crcd", "crd"):
        own = [changes for methods, changes in short.values() if part in methods]
        if len({changes.get(part, {}).get("negatives") for changes in own}) == 1:
            for changes in own:
                changes.get(part, {}).pop("negatives", None)
    return {name: join_name(*parts) for name, parts in short.items()}


def gains_of(job: str, baseline: str) -> dict[str, Difference]:
    """What each method of a job gains over one of them, of those with two seeds and more."""
    scores = scores_of(job)
    gains = {name: paired_over_seeds(of, scores[baseline]) for name, of in scores.items() if name != baseline}
    return {name: gain for name, gain in gains.items() if gain is not None and gain.n > 1}


def differences(scores: Scores, pairs: Mapping[str, tuple[str, str]]) -> list[tuple[object, ...]]:
    """A line for each two methods, paired by seed and teacher, a seed counted once, with their scores alone."""
    lines: list[tuple[object, ...]] = []
    for name, methods in pairs.items():
        one, other = (scores[method] for method in methods)
        if (difference := paired_over_seeds(one, other)) is not None:
            shared = [spread_over_seeds({pair: of[pair] for pair in one if pair in other}) for of in (one, other)]
            lines.append((name, difference.n, *shared, difference, difference.interval))
    return lines
