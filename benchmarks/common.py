"""What the benchmarks share: their arguments, and batches of images."""

import argparse
from pathlib import Path

import torch

from crcd.data import CropFlip, Images, Loader
from crcd.errors import CrcdError
from crcd.train.device import find_device


def parser(doc: str | None, repeats: int) -> argparse.ArgumentParser:
    """The arguments of every benchmark; ``repeats`` is the number of rounds of a full run."""
    result = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--quick", action="store_const", const="quick", dest="sizes", help="under a minute")
    result.add_argument("--sizes", choices=["tiny", "quick", "full"], help="full; tiny is for tests")
    result.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    result.add_argument("--threads", type=int, default=torch.get_num_threads(), help="processor threads of PyTorch")
    result.add_argument("--repeats", type=int, help=f"rounds; {repeats}, but 3 for quick and 2 for tiny sizes")
    result.add_argument("--out", type=Path, metavar="FILE.json", help="write sizes, machine and every round here")
    result.set_defaults(sizes="full", full_repeats=repeats)
    return result


def start(args: argparse.Namespace) -> torch.device:
    """Set threads and the number of rounds; the device."""
    for name in ("threads", "repeats"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise SystemExit(f"error: --{name} is {getattr(args, name)}: give 1 or more")
    if args.out is not None and (args.out.is_dir() or not args.out.parent.is_dir()):
        raise SystemExit(f"error: --out is {args.out}: name a file in a folder that exists")
    torch.set_num_threads(args.threads)
    args.repeats = args.repeats or {"tiny": 2, "quick": 3, "full": args.full_repeats}[args.sizes]
    try:
        device = find_device(args.device)
    except CrcdError as error:
        raise SystemExit(f"error: {error}") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def training_loader(images: Images, batch_size: int, device: torch.device) -> Loader:
    """Shuffled batches of cropped and flipped images."""
    mean, std = (0.5,) * 3, (0.25,) * 3
    return Loader(images, batch_size, augment=CropFlip(), mean=mean, std=std, device=device, seed=0, train=True)
