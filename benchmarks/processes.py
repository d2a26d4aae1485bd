"""Training steps of several processes, to see how they scale. See README.md.

    python benchmarks/processes.py --quick
    torchrun --nproc-per-node 2 benchmarks/processes.py --quick

Weights and images are random and cost what real ones cost.
"""

import itertools
import time
from dataclasses import asdict, dataclass, replace

import torch

from common import parser, start, training_loader
from crcd import distributed
from crcd.data import TensorImages
from crcd.methods import build_method
from crcd.methods.kd import KDConfig
from crcd.models import Viewer, create_model
from crcd.relation.config import RelationConfig
from crcd.train.learner import Learner
from crcd.train.options import ComputeOptions, OptimiserOptions
from crcd.train.randomness import RandomStream
from crcd.train.step import Step as TrainingStep
from crcd.train.teacher import Teacher
from record import Record, print_row
from timing import Spread, Step

IMAGES = 512
"""That are shown again and again; sample numbers run over all rows of the bank."""
WARM_UP = 3


@dataclass(frozen=True)
class Size:
    """Networks, classes, side of the images, bank rows N, negatives K, batch B of all processes, and steps a round."""

    teacher: str
    student: str
    classes: int
    side: int
    rows: int
    negatives: int
    batch: int
    steps: int


SIZES = {
    "tiny": Size("resnet8", "resnet8", 10, 8, 1000, 64, 16, 1),
    "quick": Size("resnet20", "resnet8", 100, 32, 50_000, 4096, 64, 4),
    "full": Size("timm/resnet34", "timm/resnet18", 1000, 224, 1_281_167, 16_384, 256, 10),
}


class Numbered(TensorImages):
    """Images of which each stands for many sample numbers."""

    def fetch(self, index_B: torch.Tensor) -> torch.Tensor:
        return super().fetch(index_B % IMAGES)


def make_step(method: str, config: object, size: Size, compute: ComputeOptions, device: torch.device) -> Step:
    """A whole step of one learner."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (IMAGES, 3, size.side, size.side), generator=generator, dtype=torch.uint8)
    labels_N = torch.arange(size.rows) % size.classes
    loader = training_loader(Numbered(pixels, labels_N), size.batch, device)
    torch.manual_seed(0)
    teacher = Teacher(create_model(size.teacher, size.classes, 3), device, compute)
    stream = RandomStream(0, device)
    with stream.active(), torch.no_grad():
        viewer = Viewer(create_model(size.student, size.classes, 3))
        example = torch.zeros(2, 3, size.side, size.side)
        views = viewer.eval()(example), teacher.viewer(example.to(device))
        built = None if config is None else build_method({method: config}, *views, labels_N)
    learner = Learner(method, viewer, built, OptimiserOptions(lr=1e-3), stream, device, compute)
    step = TrainingStep(loader, teacher, [learner])
    inputs = itertools.chain.from_iterable(loader.inputs(epoch) for epoch in itertools.count())
    return lambda: step(next(inputs), 1e-3, 1.0)


def milliseconds(step: Step, steps: int, device: torch.device) -> float:
    """Of one step; all processes begin together and take as many."""
    distributed.highest(0)
    begin = time.perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - begin) * 1e3 / steps


def main() -> None:
    arguments = parser(__doc__, repeats=5)
    arguments.add_argument("--batch", type=int, help="images a step of all processes; the size's own")
    arguments.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    args = arguments.parse_args()
    device = start(args)
    size = SIZES[args.sizes]
    size = replace(size, batch=args.batch or size.batch)
    processes = distributed.size()
    compute = ComputeOptions(precision=args.precision)
    half = {"source": "bank", "bank_precision": "float16"}
    contenders: dict[str, tuple[str, object]] = {
        "ce": ("ce", None),
        "kd": ("kd", KDConfig()),
        "crcd": ("crcd", RelationConfig(negatives=size.negatives)),
        "crcd, float16 bank": ("crcd", RelationConfig(negatives=size.negatives, **half)),
        "crcd, float16 shards": ("crcd", RelationConfig(negatives=size.negatives, bank_rows="sharded", **half)),
    }
    record = Record("processes", args, device, processes=processes, size=asdict(size), steps=[])
    widths = (24, 10, 10, 10, 10)
    print_row((f"{processes} processes", "ms", "min", "max", "images/s"), widths)
    for name, (method, config) in contenders.items():
        step = make_step(method, config, size, compute, device)
        for _ in range(WARM_UP):
            step()
        rounds = [milliseconds(step, size.steps, device) for _ in range(args.repeats)]
        spread = Spread.of(rounds)
        print_row((name, spread.median, spread.min, spread.max, 1e3 * size.batch / spread.median), widths)
        record.body["steps"].append({"step": name, "ms": asdict(spread), "rounds_ms": rounds})
    if distributed.rank() == 0:
        record.save()


if __name__ == "__main__":
    with distributed.together():
        main()
