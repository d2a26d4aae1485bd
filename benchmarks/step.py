"""Training steps: what each method adds to the bare step, in every mode; and the parts of CRCD's. See README.md.

    python benchmarks/step.py --out results/step-cpu.json

100 classes, images of 32x32. Weights and images are random and cost what real ones cost.
"""

import itertools
import statistics
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch.nn.functional import cross_entropy

from common import parser, start, training_loader
from crcd.data import TensorImages
from crcd.methods import build_method
from crcd.methods.kd import KDConfig
from crcd.models import Viewer, create_model
from crcd.relation.config import RelationConfig
from crcd.train.captured import CapturedStep
from crcd.train.learner import Learner
from crcd.train.options import ComputeOptions, OptimiserOptions
from crcd.train.randomness import RandomStream
from crcd.train.step import Step as TrainingStep
from crcd.train.teacher import Teacher
from record import Record, print_row
from timing import Step, interleave

CLASSES = 100
SIZES = {
    "tiny": {"images": 200, "batch": 16, "teacher": "resnet8", "student": "resnet8", "K": [64]},
    "quick": {"images": 50_000, "batch": 64, "teacher": "resnet20", "student": "resnet8", "K": [4096]},
    "full": {"images": 50_000, "batch": 64, "teacher": "resnet56", "student": "resnet20", "K": [4096, 16384]},
}


class Workbench:
    """Networks, data and steps of one size on one device."""

    def __init__(self, device: torch.device, sizes: dict) -> None:
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(256, (sizes["images"], 3, 32, 32), generator=generator, dtype=torch.uint8)
        self.images = TensorImages(pixels, torch.arange(sizes["images"]) % CLASSES)
        self.device, self.sizes = device, sizes
        self.loader = training_loader(self.images, sizes["batch"], device)

    def teacher(self, compute: ComputeOptions) -> Teacher:
        torch.manual_seed(0)
        return Teacher(create_model(self.sizes["teacher"], CLASSES, 3), self.device, compute)

    def learner(self, method: str, config: object, teacher: Teacher, compute: ComputeOptions) -> Learner:
        stream = RandomStream(0, self.device)
        with stream.active():
            viewer = Viewer(create_model(self.sizes["student"], CLASSES, 3))
            example = torch.zeros(2, 3, 32, 32)
            with torch.no_grad():
                views = viewer.eval()(example), teacher.viewer(example.to(self.device))
            built = None if config is None else build_method({method: config}, *views, self.images.labels)
        return Learner(method, viewer, built, OptimiserOptions(lr=1e-3), stream, self.device, compute)

    def step(self, methods: Sequence[tuple[str, object]], mode: str) -> Step:
        """A whole step of the learners; with no method the bare one: teacher, student alone, optimiser."""
        words = mode.split("+")
        compute = ComputeOptions(precision="bf16" if "bf16" in words else "float32", compile="compiled" in words)
        teacher = self.teacher(compute)
        learners = [self.learner(method, config, teacher, compute) for method, config in methods]
        step = (CapturedStep if "captured" in words else TrainingStep)(self.loader, teacher, learners)
        inputs = itertools.chain.from_iterable(self.loader.inputs(epoch) for epoch in itertools.count())
        for _ in range(6):  # libraries choose algorithms, compilers compile, the graph is captured
            step(next(inputs), 1e-3, 1.0)
        return lambda: step(next(inputs), 1e-3, 1.0)


def modes(device: torch.device, sizes: str) -> list[str]:
    if device.type == "cuda":
        return ["eager", "captured", "captured+bf16", "captured+compiled"]
    return {"tiny": ["eager"], "quick": ["eager"], "full": ["eager", "bf16", "compiled"]}[sizes]


def measure_steps(bench: Workbench, args: Namespace, record: Record) -> None:
    """Whole steps of each method over the bare step, in each mode; then students side by side."""
    contenders = [("kd", KDConfig())]
    contenders += [("crcd", RelationConfig(negatives=k)) for k in bench.sizes["K"]]
    bare, widths = "teacher + student + optimiser", (26, 30, 9, 10, 12)
    print_row(("mode", "step", "ms", "over bare", "images/s"), widths)
    for mode in modes(bench.device, args.sizes):
        steps = {bare: bench.step([("ce", None)], mode)}
        for name, config in contenders:
            k = f", K = {config.negatives}" if isinstance(config, RelationConfig) else ""
            steps[f"{name}{k}"] = bench.step([(name, config)], mode)
        steps["crcd twice, side by side"] = bench.step([contenders[1]] * 2, mode)
        steps["ce, kd, crcd side by side"] = bench.step([("ce", None), *contenders[:2]], mode)
        rounds = interleave(steps, args.repeats, bench.device)
        for name in steps:
            over = rounds.ratio(name, bare)
            speed = 1e3 * bench.sizes["batch"] / rounds.spread(name).median
            print_row((mode, name, rounds.spread(name).median, over.median, speed), widths)
            record.body["steps"].append({"mode": mode, "step": name, "over_bare": over.median, **rounds.record(name)})
        record.save()


def measure_parts(bench: Workbench, args: Namespace, record: Record) -> None:
    """Milliseconds of the parts of one step of ``crcd``, waiting for the device after each."""
    compute = ComputeOptions()
    teacher = bench.teacher(compute)
    learner = bench.learner("crcd", RelationConfig(negatives=bench.sizes["K"][0]), teacher, compute)
    assert learner.method is not None
    learner.viewer.train()
    inputs = itertools.chain.from_iterable(bench.loader.inputs(epoch) for epoch in itertools.count())
    ms: dict[str, float] = {}

    @contextmanager
    def part(name: str) -> Iterator[None]:
        _wait(bench.device)
        begin = time.perf_counter()
        yield
        _wait(bench.device)
        ms[name] = ms.get(name, 0.0) + (time.perf_counter() - begin) * 1e3

    rounds = []
    for _ in range(3 + 2 * args.repeats):
        ms.clear()
        with part("batch"):
            batch = bench.loader.batch(next(inputs))
        with part("teacher"):
            teacher_view = teacher(batch)
        with part("student"):
            student_view = learner.read(batch.image)
            outputs = [student_view.logits, student_view.feature]
            cut = [tensor.detach().requires_grad_() for tensor in outputs]
        learner.optimiser.optimizer.zero_grad(set_to_none=True)
        with part("loss"):
            view = replace(student_view, logits=cut[0], feature=cut[1])
            learner.method(view, teacher_view, batch)["loss"].backward()
        with part("student"):
            ce = cross_entropy(student_view.logits, batch.target)
            torch.autograd.backward([ce, *outputs], [None, *(tensor.grad for tensor in cut)])
        with part("optimiser"):
            learner.optimiser.optimizer.step()
        rounds.append(dict(ms))
    rounds = rounds[3:]
    share = statistics.median(r["loss"] / sum(r.values()) for r in rounds)
    print(f"parts of a step of crcd, K = {bench.sizes['K'][0]}, eager, ms:", end="")
    print(*(f"  {name} {statistics.median(r[name] for r in rounds):.1f}" for name in rounds[0]))
    print(f"the loss takes {share:.0%} of it\n")
    record.body["parts"] = {"K": bench.sizes["K"][0], "loss_share": share, "rounds_ms": rounds}
    record.save()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    args = parser(__doc__, repeats=15).parse_args()
    device = start(args)
    bench = Workbench(device, SIZES[args.sizes])
    record = Record("step", args, device, sizes=SIZES[args.sizes], steps=[])
    measure_parts(bench, args, record)
    measure_steps(bench, args, record)


if __name__ == "__main__":
    main()
