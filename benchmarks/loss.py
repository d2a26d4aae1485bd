"""Time and memory of the relation contrast: the released form, plain CRD, and ours. See benchmarks/README.md.

python benchmarks/loss.py --threads 2 --out results/loss-cpu.json
"""

import time
from dataclasses import asdict, replace
from functools import partial
from typing import Any, get_args

import torch

from common import parser, start
from crcd.errors import CrcdError
from crcd.relation.contrast import Kernel
from floor import Rates, floor_ms
from forms import Form, Size, check_same_answer, make_step
from memory import peak_mib
from record import Record, print_row
from timing import interleave

RELEASED, CRD = Form("released"), Form("CRD")
COMPILED = Form("compiled", "infonce", shared=True, masked=True)
TINY = Size(B=8, A=8, K=8, D=8, N=200)
WIDTHS = (9, 7, 38, 9, 9, 9, 13, 8, 9)
PARTS = ("negatives", "batch", "anchors", "dim", "mlp")


def kernels(relation: str, device: torch.device) -> tuple[list[str], dict[str, str]]:
    """Kernels that run here for a relation, and why the others do not."""
    run, skipped = [], {}
    for name in get_args(Kernel):
        if name in ("auto", "oracle"):
            continue
        if name == "triton" and device.type == "cpu":
            skipped[name] = "needs a CUDA device"
            continue
        try:
            make_step(Form(name, "nce", shared=True, relation=relation), TINY, device)()
            run.append(name)
        except CrcdError as error:
            skipped[name] = str(error)
    return run, skipped


def cases(part: str, sizes: str, names: dict[str, list[str]]) -> list[tuple[Size, list[Form]]]:
    """What one part of the grid measures: one size is varied around B = A = 64, D = 128, K = 4096."""
    base = TINY if sizes == "tiny" else Size()
    answer = [Form(name) for name in names["difference"]]
    masked = [
        Form(name, objective, shared, masked=True)
        for name in names["difference"]
        for objective, shared in (("nce", False), ("nce", True), ("infonce", False), ("infonce", True))
    ]
    if part == "negatives":
        with_released = {"tiny": [4, 8], "quick": [64, 256], "full": [64, 128, 256, 512]}[sizes]
        ours_only = {"tiny": [16], "quick": [4096], "full": [1024, 4096, 16384]}[sizes]
        compiled = {"tiny": [], "quick": [], "full": [512, 4096, 16384]}[sizes]
        result = []
        for k in (*with_released, *ours_only):
            peers = [RELEASED, CRD] if k in with_released else [CRD]
            result.append((replace(base, K=k), [*peers, *([COMPILED] if k in compiled else []), *answer, *masked]))
        return result
    both = [form for form in masked if form.objective == "infonce"]
    if part == "mlp":
        shared = [Form(name, "infonce", True, True, "mlp") for name in names["mlp"]]
        own = [Form(name, "infonce", False, True, "mlp") for name in names["mlp"]]
        small, large = {"tiny": (4, 8), "quick": (16, 256), "full": (64, 4096)}[sizes]
        return [(replace(base, K=small), shared + own), (replace(base, K=large), shared)]
    values = {
        "batch": {"tiny": [2, 4], "quick": [16, 128], "full": [16, 32, 128, 256]},
        "anchors": {"tiny": [2, 4], "quick": [16], "full": [8, 16, 32]},
        "dim": {"tiny": [4, 8], "quick": [256], "full": [32, 64, 256, 512]},
    }[part][sizes]
    changes = [{"batch": {"B": v, "A": v}, "anchors": {"A": v}, "dim": {"D": v}}[part] for v in values]
    quick = [form for form in both if form.shared]
    return [(replace(base, **change), both if sizes == "full" else quick) for change in changes]


def main() -> None:
    arguments = parser(__doc__, repeats=9)
    arguments.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    args = arguments.parse_args()
    device = start(args)
    names, skipped = {}, {}
    for relation in ("difference", "mlp"):
        names[relation], skipped[relation] = kernels(relation, device)
        masked = [Form(name, "nce", True, True, relation) for name in ("oracle", *names[relation])]
        check_same_answer(masked, TINY, device)
    check_same_answer([RELEASED, *(Form(name) for name in names["difference"])], TINY, device)
    rates = Rates.of(device)
    record = Record("loss", args, device, run=args.sizes, skipped=skipped, rates=rates and asdict(rates), cases=[])
    print_row(("part", "sizes", "form", "ms", "min", "max", "released/this", "floor %", "peak MiB"), WIDTHS)
    for part in args.parts:
        for size, forms in cases(part, args.sizes, names):
            record.body["cases"] += measure(part, size, forms, args.repeats, device, rates, skipped)
            record.save()
    for relation, reasons in skipped.items():
        for name, reason in reasons.items():
            print(f"not run, {relation}: {name} ({reason})")


def measure(
    part: str,
    size: Size,
    forms: list[Form],
    repeats: int,
    device: torch.device,
    rates: Rates | None,
    skipped: dict[str, dict[str, str]],
) -> list[dict[str, Any]]:
    """Time forms in turn and, each in a fresh process, their memory."""
    steps, first_seconds = {}, {}
    for form in forms:
        steps[str(form)] = make_step(form, size, device)
        begin = time.perf_counter()
        try:
            steps[str(form)]()
        except Exception as error:
            if form != COMPILED:
                raise
            skipped["difference"]["compiled"] = str(error).strip().split("\n")[0]
            del steps[str(form)]
        first_seconds[form] = time.perf_counter() - begin
    rounds = interleave(steps, repeats, device)
    result = []
    varied = {"negatives": "K", "mlp": "K", "batch": "B", "anchors": "A", "dim": "D"}[part]
    for form in forms:
        if str(form) not in steps:
            continue
        peak = peak_mib(partial(make_step, form, size, device), partial(make_step, form, TINY, device), device)
        time_ms, floor = rounds.spread(str(form)), floor_ms(form, size, rates)
        released = rounds.ratio(str(RELEASED), str(form)) if RELEASED in forms else None
        case = {"part": part, "size": asdict(size), **asdict(form), "label": str(form), **rounds.record(str(form))}
        case |= {"peak_mib": peak, "released_over_this": released and asdict(released), "floor_ms": floor}
        case["floor_share"] = floor and floor / time_ms.median
        case["compile_seconds"] = first_seconds[form] if form == COMPILED else None
        result.append(case)
        print_row(
            (
                part,
                f"{varied}={getattr(size, varied)}",
                str(form),
                time_ms.median,
                time_ms.min,
                time_ms.max,
                released and released.median,
                floor and 100 * floor / time_ms.median,
                peak,
            ),
            WIDTHS,
        )
    if not rounds.calm:
        print("  (other programs disturbed these rounds: trust the ratios alone)")
    return result


if __name__ == "__main__":
    main()
