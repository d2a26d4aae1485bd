"""Epochs with their data: batches alone, and training under a live and a cached teacher. See benchmarks/README.md.

python benchmarks/epoch.py --data-dir .data --threads 2 --out results/epoch-cpu.json
"""

import itertools
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from common import parser, start
from crcd.data import CropFlip, FolderImages, Images, Loader, TensorImages, load_dataset
from crcd.errors import CrcdError
from crcd.evaluate.scorer import Scorer
from crcd.methods.kd import KDConfig
from crcd.relation.config import RelationConfig
from crcd.train.config import DistillConfig
from crcd.train.loop import Loop
from crcd.train.options import ComputeOptions
from crcd.train.reporter import Reporter
from crcd.train.run_folder import RunFolder
from crcd.train.step import Guide
from crcd.train.stop import StopSignal
from crcd.train.teacher_cache import CachedTeacher, TeacherCache
from record import Record, print_row
from step import Workbench
from timing import Rounds, Step, interleave

EPOCH, SIDE, WORKERS = 50_000, 64, 2
MEAN, STD = (0.5,) * 3, (0.25,) * 3
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"memory": 32, "files": 16, "train": 16, "images": 200, "batch": 8, "K": 16},
    "quick": {"memory": 3200, "files": 256, "train": 128, "images": 10_000, "batch": 64, "K": 4096},
    "full": {"memory": 12_800, "files": 2048, "train": 1280, "images": 10_000, "batch": 64, "K": 4096},
}
NETWORKS = {
    "tiny": {"teacher": "resnet8", "student": "resnet8"},
    "quick": {"teacher": "resnet20", "student": "resnet8"},
    "full": {"teacher": "resnet56", "student": "resnet20"},
}
WIDTHS = (32, 10, 10, 12, 14)
NEVER = StopSignal(None, "")


class Pictures(Dataset[tuple[Tensor, int]]):
    """The same images as torchvision's CIFAR classes give them: one PIL image at a time, through a transform."""

    def __init__(self, images: TensorImages, transform: Callable[[Image.Image], Tensor]) -> None:
        self.pixels = images.image_NCHW.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = images.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[i])), self.labels[i]


def ours(images: Images, batch: int, device: torch.device, *, workers: int = 0, pool: int | None = None) -> Loader:
    return Loader(
        images,
        batch,
        augment=CropFlip(),
        mean=MEAN,
        std=STD,
        device=device,
        seed=0,
        train=True,
        workers=workers,
        pool=pool,
    )


def our_batches(loader: Loader) -> Step:
    epochs = itertools.count()
    return lambda: [None for _ in loader.epoch(next(epochs))]


def plain_batches(dataset: Dataset[tuple[Tensor, int]], batch: int, device: torch.device, workers: int) -> Step:
    """The loop of every tutorial; its workers stay from epoch to epoch."""
    loader = DataLoader(
        dataset,
        batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )
    return lambda: [image.to(device, non_blocking=True) for image, _ in loader] and None


def plain_transform(side: int, *first: Any) -> transforms.Compose:
    augment = [transforms.RandomCrop(side, padding=4), transforms.RandomHorizontalFlip()]
    return transforms.Compose([*first, *augment, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])


def in_memory(args: Namespace, device: torch.device, sizes: dict[str, Any]) -> tuple[str, int, dict[str, Step]]:
    """Loaders of small images that lie in memory: what the images are, how many are read, and the loaders."""
    try:
        images, name = load_dataset("cifar100", args.data_dir or Path(".data")).train, "CIFAR-100"
    except CrcdError:
        pixels = torch.randint(256, (sizes["memory"], 3, 32, 32), dtype=torch.uint8)
        images, name = TensorImages(pixels, torch.arange(len(pixels)) % 100), "random pixels"
    assert isinstance(images, TensorImages)
    images, batch = images.take(torch.arange(sizes["memory"])), sizes["batch"]
    pictures = Pictures(images, plain_transform(32))
    steps = {"ours": our_batches(ours(images, batch, device))}
    for workers in (0, WORKERS):
        steps[f"torchvision, {workers} workers"] = plain_batches(pictures, batch, device, workers)
    return f"32x32 in memory ({name})", len(images) // batch * batch, steps


def photographs(folder: Path, count: int) -> None:
    """Smooth random JPEGs of 64 to 256 pixels a side, in two classes."""
    generator = np.random.default_rng(0)
    for i in range(count):
        part = folder / f"{i % 2}"
        part.mkdir(exist_ok=True)
        pixels = generator.integers(256, size=(8, 8, 3), dtype=np.uint8)
        width, height = generator.integers(64, 257, 2).tolist()
        Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).save(part / f"{i}.jpg", quality=90)


def in_files(folder: Path, device: torch.device, batch: int) -> tuple[str, int, dict[str, Step]]:
    """Loaders of image files: the same."""
    plain = ImageFolder(str(folder), plain_transform(SIDE, transforms.Resize(SIDE), transforms.CenterCrop(SIDE)))
    files = FolderImages([Path(path) for path, _ in plain.samples], torch.tensor(plain.targets), SIDE)
    steps = {}
    for workers in (0, WORKERS):
        steps[f"ours, {workers} workers"] = our_batches(ours(files, batch, device, workers=workers))
        steps[f"torchvision, {workers} workers"] = plain_batches(plain, batch, device, workers)
    return f"files, decoded to {SIDE}x{SIDE}", len(files) // batch * batch, steps


def report_loaders(name: str, count: int, steps: dict[str, Step], rounds: Rounds, record: Record) -> None:
    print_row((name, "ms", "images/s", "this/ours", ""), WIDTHS)
    best = min((step for step in steps if step.startswith("ours")), key=lambda step: rounds.spread(step).median)
    for step in steps:
        ms = rounds.spread(step).median
        print_row((f"  {step}", ms, 1e3 * count / ms, rounds.ratio(step, best).median, ""), WIDTHS)
        record.body["loaders"].append({"data": name, "loader": step, "images": count, **rounds.record(step)})
    record.save()


def training(device: torch.device, sizes: dict[str, Any], folder: Path) -> dict[str, Step]:
    """Epochs of each method in the real loop, and the teacher's reading of one view."""
    bench, compute = Workbench(device, sizes), ComputeOptions()
    config = DistillConfig(epochs=1, batch_size=sizes["batch"], teacher=sizes["teacher"], lr=1e-3)
    images = bench.images.take(torch.arange(sizes["train"]))
    scored = Loader(
        bench.images.take(torch.arange(sizes["train"] // 5)),
        sizes["batch"],
        augment=None,
        mean=MEAN,
        std=STD,
        device=device,
        seed=0,
        train=False,
    )
    teacher = bench.teacher(compute)
    scorer = Scorer(lambda: scored.epoch(0), scored.images.labels, teacher.viewer.model)
    fresh, pooled = (ours(images, sizes["batch"], device, pool=pool) for pool in (None, 2))
    filled = TeacherCache(folder / "filled", config, teacher.viewer.model, pooled)
    filled.fill(teacher, NEVER, Reporter())

    def epoch(method: str, settings: object, guide: Guide | None, loader: Loader) -> Step:
        learner = bench.learner(method, settings, teacher, compute)

        def step() -> None:
            with tempfile.TemporaryDirectory(dir=folder) as run:
                Loop(method, config, [learner], guide, loader, scorer, RunFolder(Path(run)), NEVER, Reporter()).run()

        return step

    def fill() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            one = ours(images, sizes["batch"], device, pool=1)
            TeacherCache(Path(cache), config, teacher.viewer.model, one).fill(teacher, NEVER, Reporter())

    cached = CachedTeacher(filled, teacher)
    steps = {"ce": epoch("ce", None, None, fresh)}
    for method, settings in (("kd", KDConfig()), ("crcd", RelationConfig(negatives=sizes["K"]))):
        steps[f"{method}, live teacher"] = epoch(method, settings, teacher, fresh)
        steps[f"{method}, cached teacher"] = epoch(method, settings, cached, pooled)
    return steps | {"one view of the teacher": fill}


def report_training(steps: dict[str, Step], n: int, rounds: Rounds, record: Record) -> None:
    print_row((f"training, {n} images", "ms", "images/s", "live/cached", f"s for {EPOCH}"), WIDTHS)
    for step in steps:
        spread = rounds.spread(step)
        live = step.replace("cached", "live")
        ratio = rounds.ratio(live, step).median if live != step else None
        seconds = spread.median * EPOCH / n / 1e3
        print_row((f"  {step}", spread.median, 1e3 * n / spread.median, ratio, seconds), WIDTHS)
        entry = {"step": step, "images": n, "seconds_for_50000_extrapolated": seconds, "live_over_cached": ratio}
        record.body["training"].append({**entry, **rounds.record(step)})
    record.save()


def main() -> None:
    arguments = parser(__doc__, repeats=5)
    arguments.add_argument("--data-dir", type=Path, help="holds CIFAR-100, else random pixels; .data")
    arguments.add_argument("--folder", type=Path, help="CLASS/* of images to read, else random JPEGs")
    args = arguments.parse_args()
    device = start(args)
    sizes = SIZES[args.sizes] | NETWORKS[args.sizes]
    if device.type == "cuda" and args.sizes == "full":
        sizes |= {"memory": EPOCH, "train": EPOCH, "images": EPOCH}
    record = Record("epoch", args, device, sizes=sizes, workers=WORKERS, loaders=[], training=[])
    torch.manual_seed(0)
    name, count, steps = in_memory(args, device, sizes)
    report_loaders(name, count, steps, interleave(steps, args.repeats, device), record)
    with tempfile.TemporaryDirectory() as temporary:
        if args.folder is None:
            photographs(Path(temporary), sizes["files"])
        try:
            name, count, steps = in_files(args.folder or Path(temporary), device, sizes["batch"])
        except (OSError, CrcdError) as error:
            raise SystemExit(f"error: --folder {args.folder}: {error}") from error
        report_loaders(name, count, steps, interleave(steps, args.repeats, device), record)
    del steps
    with tempfile.TemporaryDirectory() as temporary:
        steps = training(device, sizes, Path(temporary))
        report_training(steps, sizes["train"], interleave(steps, args.repeats, device), record)


if __name__ == "__main__":
    main()
