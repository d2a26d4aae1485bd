"""crcd evaluate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from torch import nn

from crcd.cli.data_folder import find_data
from crcd.errors import CrcdError
from crcd.evaluate.scorer import Scorer
from crcd.models import adapt_between, read_metadata, refuse_code
from crcd.train.config import DistillConfig
from crcd.train.device import find_device
from crcd.train.material import Material
from crcd.train.options import DataOptions, require, require_workers
from crcd.train.teacher_network import given_teacher


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Score the weights of a classifier on the test images of a data set, of which it sees what it was trained on."""

    weights: Path
    """Weights: .safetensors, .pt or .pth."""
    model: str | None = None
    """Network, named as for crcd train; None takes the one that the weights name."""
    data: str | None = None
    """Data set, as for crcd train; None takes the one that the weights name."""
    data_dir: Path | None = None
    """Where a data set lies that is named; digits and hf/NAME need none."""
    download: bool = False
    """Download the data set into --data-dir if it is absent."""
    image_size: int | None = None
    """Side of the square images, pixels; None takes what the weights name, or the data set's own."""
    skip_corrupt: bool = False
    """Leave out images that can't be decoded (they are counted) instead of stopping."""
    batch_size: int = 256
    """Images a step."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    workers: int = 0
    """Processes that decode images of a folder too big for memory."""

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch-size", self.batch_size, "give 1 or more")
        require_workers(self.workers)


def run(words: Sequence[str]) -> None:
    """Print the top-1."""
    config = tyro.cli(EvaluateConfig, args=list(words), prog="crcd evaluate")
    named = read_metadata(config.weights) if config.weights.suffix == ".safetensors" else {}
    if config.model is None:
        refuse_code(named.get("model", ""), f"weights {config.weights}")
    model_name = config.model or named.get("model")
    data_name, data_dir = named.get("data"), config.data_dir
    if config.data is not None:
        data_name, data_dir = find_data(config.data, data_dir)
    if model_name is None or data_name is None:
        missing = "--model" if model_name is None else "--data"
        raise CrcdError(f"weights {config.weights}: they do not name it, so give {missing}")
    size = config.image_size
    if size is None and named.get("data") == data_name and "image_size" in named:
        size = int(named["image_size"])
    options = DataOptions(
        data=data_name,
        data_dir=data_dir,
        download=config.download,
        image_size=size,
        skip_corrupt=config.skip_corrupt,
        batch_size=config.batch_size,
        workers=config.workers,
    )
    material = Material.load(options, 0, find_device(config.device))
    network = given_teacher(DistillConfig(teacher=model_name, teacher_weights=config.weights), material)
    adapt = adapt_between(material.format, network.format)
    model = nn.Sequential(*([] if adapt is None else [adapt]), network.model).to(material.device)
    scorer = Scorer(lambda: material.score_loader().epoch(0), material.scored.labels, None)
    (score,) = scorer([model])
    if math.isnan(score["top1"]):
        raise CrcdError(f"weights {config.weights}: the network gives logits that are not finite; they are broken")
    print(f"{model_name} on {len(material.scored)} test images of {data_name}: top-1 {score['top1']:.2f} %")
