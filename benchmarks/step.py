"""Parts of one training step of CRCD on the CPU, and the share of its loss. See benchmarks/README.md.

    python benchmarks/step.py --out results/step-cpu.json

resnet56 -> resnet20, 100 classes, images of 32x32, a bank of 50,000 rows. Weights and images are random and cost what
real ones cost.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from crcd.data import Batch
from crcd.methods.crcd import CRCD, CRCDConfig
from crcd.models import Viewer, create_model
from crcd.train.teacher import Teacher
from loss import machine

NUM_CLASSES, NUM_SAMPLES = 100, 50_000


def step(batch_size: int, negatives: int) -> Callable[[], dict[str, float]]:
    """A training step that gives the milliseconds of its parts."""
    torch.manual_seed(0)
    labels_N = torch.arange(NUM_SAMPLES) % NUM_CLASSES
    teacher = Teacher(create_model("resnet56", NUM_CLASSES, 3), torch.device("cpu"))
    student = Viewer(create_model("resnet20", NUM_CLASSES, 3)).to(memory_format=torch.channels_last)
    example = torch.zeros(2, 3, 32, 32)
    config = CRCDConfig(negatives=negatives)
    method = CRCD.build(config, student.eval()(example), teacher.viewer(example), labels_N)
    optimizer = SGD([*student.parameters(), *method.parameters()], lr=1e-3, momentum=0.9, weight_decay=5e-4)
    student.train()

    def run() -> dict[str, float]:
        ms: dict[str, float] = {}

        @contextmanager
        def part(name: str) -> Iterator[None]:
            begin = time.perf_counter()
            yield
            ms[name] = ms.get(name, 0.0) + (time.perf_counter() - begin) * 1e3

        index_B = torch.randint(NUM_SAMPLES, (batch_size,))
        image = torch.randn(batch_size, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        batch = Batch(image, labels_N[index_B], index_B)
        optimizer.zero_grad(set_to_none=True)
        with part("teacher"):
            teacher_view = teacher(batch)
        with part("student"):
            student_view = student(batch.image)
            outputs = [student_view.logits, student_view.feature]
            cut = [tensor.detach().requires_grad_() for tensor in outputs]
        with part("loss"):
            view = replace(student_view, logits=cut[0], feature=cut[1])
            method(view, teacher_view, batch)["loss"].backward()
        with part("student"):
            ce = cross_entropy(student_view.logits, batch.target)
            gradients = [tensor.grad for tensor in cut]
            torch.autograd.backward([ce, *outputs], [None, *gradients])
        with part("optimiser"):
            optimizer.step()
        return ms

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--negatives", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write every repeat here")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    run = step(args.batch_size, args.negatives)
    for _ in range(3):
        run()
    repeats = [run() for _ in range(args.repeats)]
    for name in repeats[0]:
        print(f"{name:10} {statistics.median(ms[name] for ms in repeats):8.1f} ms")
    share = statistics.median(ms["loss"] / sum(ms.values()) for ms in repeats)
    print(f"{'whole step':10} {statistics.median(sum(ms.values()) for ms in repeats):8.1f} ms")
    print(f"the loss takes {share:.0%} of it")
    if args.out:
        sizes = {"B": args.batch_size, "K": args.negatives, "N": NUM_SAMPLES}
        result = {"machine": machine(args.threads), "sizes": sizes, "loss_share": share, "repeats": repeats}
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
