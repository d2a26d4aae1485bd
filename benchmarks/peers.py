"""One training step beside the peers' own code, in one run on one machine. See benchmarks/README.md.

python benchmarks/peers.py --repdistiller DIR --crcd DIR --threads 2 --out results/peers-cpu.json
"""

import argparse
import itertools
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

import scale
from checkouts import (
    LEFT,
    NUM_CLASSES,
    REPAIRED,
    Size,
    check_checkout,
    commit,
    crcd_loss,
    crcd_step,
    repdistiller_step,
)
from common import parser, start
from crcd.data import CropFlip, Loader, TensorImages
from crcd.methods.crcd import CRCD
from crcd.models import Viewer, create_model
from crcd.relation.config import RelationConfig
from crcd.train.captured import CapturedStep
from crcd.train.learner import Learner
from crcd.train.options import ComputeOptions, OptimiserOptions
from crcd.train.randomness import RandomStream
from crcd.train.step import Step as TrainingStep
from crcd.train.teacher import Teacher
from memory import Make, peak_mib
from record import Record, print_row
from timing import Step, interleave

WIDTHS = (44, 9, 9, 9, 9)
SIZES = {
    "tiny": Size("resnet8", "resnet8", batch=4, rows=200),
    "quick": Size(rows=10_000),
    "full": Size(),
}
NEGATIVES = {  # of the released CRCD, of CRD, and of ours
    "tiny": (8, 16, (8, 16)),
    "quick": (64, 4096, (64, 4096)),
    "full": (500, 16384, (500, 4096, 16384)),
}


@dataclass(frozen=True)
class Contender:
    """What takes part.

    Attributes:
        owner: ``ours`` or the flag of the peer's checkout.
        what: ``step`` or ``loss``.
        warm: makes a smaller one, for the memory's measurement; None where that says nothing (a captured step has
            taken its memory before it runs).
    """

    name: str
    owner: str
    what: str
    negatives: int | None
    make: Make
    warm: Make | None


def our_step(size: Size, negatives: int | None, captured: bool, device: torch.device) -> Step:
    """A whole step of ours, making of the batch included; without negatives, teacher and plain student alone."""
    torch.manual_seed(0)
    labels_N = torch.arange(size.rows) % NUM_CLASSES
    pixels = torch.randint(256, (size.rows, 3, 32, 32), dtype=torch.uint8)
    images, norm = TensorImages(pixels, labels_N), (0.5, 0.5, 0.5)
    loader = Loader(
        images, size.batch, augment=CropFlip(4), mean=norm, std=norm, device=device, seed=0, train=True
    )  # fmt: skip
    teacher = Teacher(create_model(size.teacher, NUM_CLASSES, 3), device, ComputeOptions())
    student, method = Viewer(create_model(size.student, NUM_CLASSES, 3)), None
    if negatives is not None:
        example = torch.zeros(2, 3, 32, 32)
        view = teacher.viewer(example.to(device))
        method = CRCD.build(RelationConfig(negatives=negatives), student.eval()(example), view, labels_N)
    stream = RandomStream(0, device)
    learner = Learner("student", student, method, OptimiserOptions(), stream, device, ComputeOptions())
    take = (CapturedStep if captured else TrainingStep)(loader, teacher, [learner])
    inputs = next(iter(loader.inputs(0)))

    def step() -> None:
        take(inputs, 0.05, 1.0)

    for _ in range(5 if captured else 0):  # the capture is not part of a step
        step()
    return step


def contenders(args: argparse.Namespace, device: torch.device) -> list[Contender]:
    """All that take part; the peers only where their checkouts are given."""
    size = SIZES[args.sizes]
    small = replace(size, batch=4)
    released_k, crd_k, our_ks = NEGATIVES[args.sizes]
    result = []

    def add(name: str, owner: str, what: str, negatives: int | None, make: Make, warm: Make | None) -> None:
        label = name if negatives is None else f"{name}, K={negatives}"
        result.append(Contender(label, owner, what, negatives, make, warm))

    for captured in (False, True) if device.type == "cuda" else (False,):
        words = ", captured" if captured else ""
        for k in (None, *our_ks):
            name = f"{'bare' if k is None else 'ours'}{words}"
            make, warm = (partial(our_step, s, k, captured, device) for s in (size, small))
            add(name, "ours", "step", k, make, None if captured else warm)
    for k in our_ks:
        base = scale.Size(negatives=k, rows=size.rows)
        parts = (partial(scale.make_whole, replace(base, batch=s.batch), device) for s in (size, small))
        add("ours, loss alone", "ours", "loss", k, *parts)
    if args.repdistiller:
        parts = (partial(repdistiller_step, args.repdistiller, s, crd_k, device) for s in (size, small))
        add("RepDistiller, CRD", "repdistiller", "step", crd_k, *parts)
    if args.crcd:
        for gradient, words in (("mse", "one element"), ("crcd", "both elements")):
            parts = (partial(crcd_step, args.crcd, s, released_k, gradient, device) for s in (size, small))
            add(f"released CRCD, {words}", "crcd", "step", released_k, *parts)
        parts = (partial(crcd_loss, args.crcd, s, released_k, device) for s in (size, small))
        add("released CRCD, loss alone", "crcd", "loss", released_k, *parts)
    return result


def arguments() -> argparse.Namespace:
    """The command line's."""
    result = parser(__doc__, repeats=7)
    result.add_argument("--repdistiller", type=Path, metavar="DIR", help="checkout of HobbitLong/RepDistiller")
    result.add_argument("--crcd", type=Path, metavar="DIR", help="checkout of Lechatelia/CRCD")
    args = result.parse_args()
    given = {flag: folder.resolve() for flag in REPAIRED if (folder := getattr(args, flag)) is not None}
    if not given:
        raise SystemExit(
            "error: no peer to compare with: give --repdistiller DIR, --crcd DIR or both, "
            "checkouts of github.com/HobbitLong/RepDistiller and github.com/Lechatelia/CRCD"
        )
    for flag, folder in given.items():
        check_checkout(flag, folder)
        setattr(args, flag, folder)
    return args


def main() -> None:
    args = arguments()
    device = start(args)
    peers = {
        flag: {"commit": commit(getattr(args, flag)), "repaired": REPAIRED[flag], "left": LEFT[flag]}
        for flag in REPAIRED
        if getattr(args, flag)
    }
    record = Record("peers", args, device, run=args.sizes, size=asdict(SIZES[args.sizes]), peers=peers, cases=[])
    taking_part = contenders(args, device)
    torch.backends.cudnn.benchmark = True  # as the peers' train_student.py sets it, here for all
    rounds = interleave({c.name: c.make() for c in taking_part}, args.repeats, device)
    print_row(("", "ms", "min", "max", "peak MiB"), WIDTHS)
    for c in taking_part:
        peak, ms = None if c.warm is None else peak_mib(c.make, c.warm, device), rounds.spread(c.name)
        case = {"name": c.name, "owner": c.owner, "what": c.what, "K": c.negatives, "peak_mib": peak}
        record.body["cases"].append(case | rounds.record(c.name))
        print_row((c.name, ms.median, ms.min, ms.max, peak), WIDTHS)
        record.save()
    print("\ntimes of the first over the second, of the same round: median (least to greatest)")
    record.body["ratios"] = []
    for peer, own in itertools.product(taking_part, taking_part):
        if peer.owner != "ours" and own.owner == "ours" and peer.what == own.what:
            ratio = rounds.ratio(peer.name, own.name)
            record.body["ratios"].append({"peer": peer.name, "ours": own.name} | asdict(ratio))
            print(f"{ratio!s:28} {peer.name} / {own.name}")
    record.save()


if __name__ == "__main__":
    main()
