"""How the cost of a whole CRCDLoss grows with negatives, bank rows, batch and students. See benchmarks/README.md.

python benchmarks/scale.py --threads 2 --out results/scale-cpu.json
"""

import statistics
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from common import parser, start
from crcd.relation import CRCDLoss, RelationConfig, View
from crcd.relation.source import Elements
from memory import peak_mib
from record import Record, print_row
from timing import Rounds, Spread, Step, interleave

NUM_CLASSES, WIDTH = 100, 64
SERIES = ("negatives", "rows", "batch", "students")
WIDTHS = (10, 9, 9, 9, 9, 9, 9, 9)


@dataclass(frozen=True)
class Size:
    """Sizes of one call: negatives K, bank rows N, batch B, width D, and students with a loss each."""

    negatives: int = 4096
    rows: int = 50_000
    batch: int = 64
    dim: int = 128
    students: int = 1


VALUES = {
    "tiny": {"negatives": [8, 16], "rows": [100, 200], "batch": [4, 8], "students": [1, 2]},
    "quick": {"negatives": [256, 1024, 4096], "rows": [50_000, 200_000], "batch": [32, 64], "students": [1, 2]},
    "full": {
        "negatives": [256, 1024, 4096, 16384],
        "rows": [50_000, 200_000, 1_281_167],
        "batch": [16, 32, 64, 128, 256],
        "students": [1, 2, 4],
    },
}


class Calls:
    """The losses of a step's students, random views of a batch, and the parts of what the losses do with them."""

    def __init__(self, size: Size, device: torch.device) -> None:
        torch.manual_seed(0)
        labels_N = torch.arange(size.rows) % NUM_CLASSES
        config = RelationConfig(source="bank", negatives=size.negatives, dim=size.dim)
        self.losses = [CRCDLoss(WIDTH, WIDTH, config, labels=labels_N).to(device) for _ in range(size.students)]
        self.index_B = torch.randint(size.rows, (size.batch,), device=device)
        self.target_B = self.index_B % NUM_CLASSES
        self.student, self.teacher = self._view(size.batch, device, True), self._view(size.batch, device, False)
        usable_B = torch.ones(size.batch, dtype=torch.bool, device=device)
        self.elements = Elements(
            self.student.feature.detach(), self.teacher.feature, self.target_B, self.index_B, usable_B
        )

        for source in self._sources():
            source.seen_N.fill_(True)

    def _view(self, batch: int, device: torch.device, learns: bool) -> View:
        classifier = nn.Linear(WIDTH, NUM_CLASSES, device=device)
        feature_BD = torch.randn(batch, WIDTH, device=device, requires_grad=learns)
        return View(classifier(feature_BD).detach().requires_grad_(learns), feature_BD, classifier)

    def whole(self) -> list[Tensor]:
        """Forward and backward of every loss, heads included."""
        gradients = []
        for loss in self.losses:
            value = loss(self.student, self.teacher, self.target_B, self.index_B).loss
            trained = [self.student.feature, self.student.logits, *loss.parameters()]
            gradients += torch.autograd.grad(value, trained)
        return gradients

    def _sources(self) -> list[Any]:
        return [element.source for loss in self.losses for element in (loss.feature, loss.gradient) if element]

    def draw(self) -> None:
        """Draw the negatives of both elements."""
        for source in self._sources():
            source.draw(self.elements)

    def update(self) -> None:
        """Keep the batch in the banks of both elements."""
        for source in self._sources():
            source.update(self.elements)


def make_whole(size: Size, device: torch.device) -> Step:
    """The step of a fresh process."""
    return Calls(size, device).whole


def slope(sizes: list[int], ms: list[float]) -> float:
    """Exponent p of the fit ms = c size^p, by least squares of the logarithms."""
    log_size, log_ms = (torch.tensor(x, dtype=torch.float64).log().tolist() for x in (sizes, ms))
    return statistics.linear_regression(log_size, log_ms).slope


def contrast(rounds: Rounds) -> Spread:
    """Whole call less draw and update, of the same round: heads and contrasts, forward and backward."""
    parts = zip(rounds.ms["whole"], rounds.ms["draw"], rounds.ms["update"], strict=True)
    rest = [whole - draw - update for whole, draw, update in parts]
    return Spread.of(rest[i] for i in rounds.counted)


def main() -> None:
    arguments = parser(__doc__, repeats=9)
    arguments.add_argument("--series", nargs="+", choices=SERIES, default=SERIES, metavar="S", help=", ".join(SERIES))
    args = arguments.parse_args()
    device = start(args)
    base = Size(8, 100, 4, 8) if args.sizes == "tiny" else Size()
    record = Record("scale", args, device, run=args.sizes, base=asdict(base), cases=[], slopes={})
    print_row(("series", "size", "whole ms", "min", "max", "contrast", "draw", "update"), WIDTHS)
    for series in args.series:
        cases = []
        for value in VALUES[args.sizes][series]:
            size = replace(base, **{series: value})
            calls = Calls(size, device)
            steps = {"whole": calls.whole, "draw": calls.draw, "update": calls.update}
            rounds = interleave(steps, args.repeats, device)
            del calls, steps
            peak = peak_mib(partial(make_whole, size, device), partial(make_whole, Size(8, 200, 4, 8), device), device)
            parts = {name: rounds.spread(name) for name in rounds.ms} | {"contrast": contrast(rounds)}
            cases.append(
                {"series": series, "size": asdict(size), "peak_mib": peak, "calm": rounds.calm}
                | {f"{name}_ms": asdict(part) for name, part in parts.items()}
            )
            whole = parts["whole"]
            medians = (parts[name].median for name in ("contrast", "draw", "update"))
            print_row((series, value, whole.median, whole.min, whole.max, *medians), WIDTHS)
        record.body["cases"] += cases
        exponents = record.body["slopes"][series] = {
            name: slope(VALUES[args.sizes][series], [max(case[f"{name}_ms"]["median"], 1e-6) for case in cases])
            for name in ("whole", "contrast", "draw", "update")
        }
        whole, *others = exponents.values()
        print_row((series, "exponent", whole, None, None, *others), WIDTHS)
        record.save()


if __name__ == "__main__":
    main()
