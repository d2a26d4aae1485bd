"""Entries of a ledger as tables: accuracy, gains over a baseline, fidelity, and what others report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from crcd.compare.ledger import Entry
from crcd.compare.published import published
from crcd.compare.statistics import Difference, Pair, Spread, paired_over_seeds, spread, spread_over_seeds

TOP1 = ("top-1 %", 2)
"""Heading of the accuracy, and how many digits are shown."""
SCORES = {
    "agreement": ("agreement %", 2),
    "kl": ("KL, nats", 3),
    "ece": ("ECE %", 2),
    "cka": ("CKA", 3),
    "correlation_difference": ("corr. diff.", 4),
}
"""Likewise of a student's further scores."""


@dataclass(frozen=True)
class Table:
    """Words in rows.

    Attributes:
        title: what it shows.
        header: one a column; the first column names the rows.
        rows: their cells.
        notes: what a reader must know.
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Column:
    """All entries of one setup.

    Attributes:
        label: of the setup.
        entries: by method, in the order in which they came; each method's by seed and teacher.
        baseline: method that gains are paired with.
    """

    label: str
    entries: dict[str, dict[Pair, Entry]]
    baseline: str

    @property
    def first(self) -> Entry:
        """Any entry: data, teacher and student are those of all."""
        return next(iter(next(iter(self.entries.values())).values()))

    def scores(self, method: str, name: str = "top1") -> dict[Pair, float]:
        """A score of a method by seed and teacher."""
        own = self.entries.get(method, {})
        return {pair: entry.result[name] for pair, entry in own.items() if entry.result.get(name) is not None}

    def teachers(self) -> Spread:
        """Accuracy of its teachers."""
        tops = {e.teacher["weights"]: e.teacher["top1"] for own in self.entries.values() for e in own.values()}
        return spread(list(tops.values()))

    def gain(self, method: str) -> Difference | None:
        """Paired differences of a method's accuracy to the baseline's, over seeds."""
        return None if method == self.baseline else paired_over_seeds(self.scores(method), self.scores(self.baseline))

    def published(self) -> dict[tuple[str, str], float]:
        """What others report on this pair, by method and source."""
        first = self.first
        pair = f"{first.teacher['model']}/{first.result['model']}"
        rows = published(first.run["data"]) if first.run["scored_on"] == "test" else ()
        return {(row.method, row.source): row.top1[pair] for row in rows if pair in row.top1}


def columns(entries: Sequence[Entry], baselines: Mapping[str, str]) -> list[Column]:
    """Entries by setup and method; what has one name and other settings gets a number behind it, ``kd (2)``.

    Of a cell that was measured twice the later entry counts.

    Args:
        entries: of a ledger.
        baselines: method that gains are paired with, by the setup's name.
    """
    found: dict[str, Column] = {}
    setups: dict[str, list[str | None]] = {}
    methods: dict[str, dict[str, list[str | None]]] = {}
    for entry in entries:
        cell = entry.cell
        setup = _told_apart(entry.setup, entry.setup_hash, setups)
        method = _told_apart(entry.method, cell.method if cell else None, methods.setdefault(setup, {}))
        column = found.setdefault(setup, Column(setup, {}, baselines[entry.setup]))
        column.entries.setdefault(method, {})[entry.pair] = entry
    return list(found.values())


def _told_apart(name: str, settings: str | None, known: dict[str, list[str | None]]) -> str:
    """The name, numbered from its second settings on; ``known`` keeps the hashes of each name's."""
    own = known.setdefault(name, [])
    if settings not in own:
        own.append(settings)
    place = own.index(settings)
    return f"{name} ({place + 1})" if place else name


def tables(found: Sequence[Column]) -> list[Table]:
    """The tables of a comparison: accuracy and gains over all setups where there are several, then each setup's own."""
    return ([_accuracy(found), _gains(found)] if len(found) > 1 else []) + [_setup(column) for column in found]


def _accuracy(found: Sequence[Column]) -> Table:
    rows = [["teacher", *(str(column.teachers()) for column in found)]]
    for method in _methods(found):
        rows.append([method, *(_spread(column.scores(method)) for column in found)])
    reported = [column.published() for column in found]
    for method, source in dict.fromkeys(key for own in reported for key in own):
        values = [f"{own[method, source]:.2f}" if (method, source) in own else "" for own in reported]
        rows.append([f"{method} [{source}]", *values])
    header = [TOP1[0], *(f"{column.label} (n = {_seeds(column)})" for column in found)]
    return Table("Accuracy after the last epoch", header, rows, _notes(found, any(reported)))


def _gains(found: Sequence[Column]) -> Table:
    rows = []
    for method in _methods(found):
        if any(method in column.entries and method != column.baseline for column in found):
            gains = [(_gain(column, method), _interval(column.gain(method))) for column in found]
            rows.append([method, *(f"{gain} ({interval})" if interval else gain for gain, interval in gains)])
    baselines = " or ".join(dict.fromkeys(column.baseline for column in found))
    title = f"Paired difference to {baselines}, points (95 % interval of its mean)"
    return Table(title, ["", *(column.label for column in found)], rows)


def _setup(column: Column) -> Table:
    shown = [name for name in SCORES if any(column.scores(method, name) for method in column.entries)]
    blank = [""] * len(shown)
    first = column.first
    teachers = column.teachers()
    several = f", {teachers.n} of them" if teachers.n > 1 else ""
    rows = [[f"teacher ({first.teacher['model']}{several})", "", str(teachers), "", "", *blank]]
    for method, own in column.entries.items():
        gain = column.gain(method)
        scores = [_score(column.scores(method, name), SCORES[name][1]) for name in shown]
        cells = [str(_count(own)), _spread(column.scores(method)), _gain(column, method), _interval(gain)]
        rows.append([f"{method} ({first.result['model']})", *cells, *scores])
    reported = column.published()
    rows += [[f"{method} [{source}]", "", f"{top1:.2f}", "", "", *blank] for (method, source), top1 in reported.items()]
    header = ["", "seeds", TOP1[0], f"less {column.baseline}", "95 % interval", *(SCORES[name][0] for name in shown)]
    return Table(column.label, header, rows, _notes([column], bool(reported)))


def _methods(found: Sequence[Column]) -> list[str]:
    return list(dict.fromkeys(method for column in found for method in column.entries))


def _seeds(column: Column) -> str:
    counts = {_count(own) for own in column.entries.values()}
    return str(max(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"


def _count(own: Iterable[Pair]) -> int:
    """How many seeds there are."""
    return len({seed for seed, _ in own})


def _spread(values: Mapping[Pair, float]) -> str:
    return str(spread_over_seeds(values)) if values else ""


def _score(values: Mapping[Pair, float], digits: int) -> str:
    return f"{spread_over_seeds(values).mean:.{digits}f}" if values else ""


def _gain(column: Column, method: str) -> str:
    """A difference, and of how many runs where these are not all of the method's."""
    own, gain = column.scores(method), column.gain(method)
    if method == column.baseline or not own:
        return ""
    if gain is None:
        return "no pairs"
    paired = own.keys() & column.scores(column.baseline).keys()
    return str(gain) if len(paired) == len(own) else f"{gain} ({len(paired)} of {len(own)} runs paired)"


def _interval(gain: Difference | None) -> str:
    return "" if gain is None else gain.interval


def _notes(found: Sequence[Column], beside: bool) -> list[str]:
    entries = [entry for column in found for own in column.entries.values() for entry in own.values()]
    run = [entry.run for entry in entries]
    where = " and ".join(dict.fromkeys(f"{r['scored_images']} {r['scored_on']} images of {r['data']}" for r in run))
    commits = ", ".join(dict.fromkeys(r["commit"][:7] + "-dirty" * r["commit"].endswith("-dirty") for r in run))
    devices = ", ".join(dict.fromkeys(r["device"] for r in run))
    measured = f"{where}, last epoch; measured at {commits} on {devices}."
    how = "± is the standard deviation over seeds; differences are paired by seed and teacher; a seed counts once"
    notes = [f"{how}; {measured}"]
    if beside:
        notes.append("Rows with a source in brackets are what others report, with their own teachers.")
    return notes
