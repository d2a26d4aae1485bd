"""What a run came to."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

import crcd
from crcd.data import known_labels
from crcd.models import ImageFormat, count_multiply_adds, count_parameters
from crcd.train.config import TrainOptions
from crcd.train.device import describe
from crcd.train.material import Material


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        folder: where its files lie.
        summary: content of its summary.json.
    """

    folder: Path
    summary: dict[str, Any]


def describe_run(config: TrainOptions, material: Material) -> dict[str, Any]:
    """The part of a summary that says what was run."""
    count = len(known_labels(material.train))
    unlabelled = {"unlabelled_images": len(material.train) - count} if count < len(material.train) else {}
    return {
        "data": config.data,
        "scored_on": material.scored_on,
        "train_images": count,
        **unlabelled,
        "scored_images": len(material.scored),
        "epochs": config.epochs,
        "seed": config.seed,
        "commit": commit(),
        "device": describe(material.device),
        "versions": {"crcd": crcd.__version__, "torch": torch.__version__, "torchvision": torchvision.__version__},
    }


def model_entry(name: str, model: nn.Module, images: ImageFormat) -> dict[str, Any]:
    """Name and cost of a network, which takes such images."""
    return {
        "model": name,
        "parameters": count_parameters(model),
        "multiply_adds": count_multiply_adds(model, (images.channels, images.size, images.size)),
    }


def learner_entry(
    model_name: str, model: nn.Module, learner: str, history: Sequence[dict[str, Any]], material: Material
) -> dict[str, Any]:
    """The part of a summary about one learner: its scores after the last epoch, never the best one.

    Loss parts are those of the last epoch that had them. Its own seconds are not known (None) where the steps of all
    learners ran as one CUDA graph.
    """
    own = [record for record in history if record["learner"] == learner]
    latest: dict[str, Any] = {}
    for record in own:
        latest |= record
    for name in ("epoch", "learner", "lr", "step_seconds", "images_per_second"):
        del latest[name]
    times = [record["seconds"] for record in own]
    seconds = None if None in times else round(sum(times), 3)
    return {**model_entry(model_name, model, material.format), **latest, "epochs": own[-1]["epoch"], "seconds": seconds}


def commit() -> str:
    """Git commit of this package's checkout, ``-dirty`` if files differ from it; the version where there is none."""
    package = Path(crcd.__file__).resolve().parent
    try:
        top = _git(package, "rev-parse", "--show-toplevel")
        if package == Path(top).resolve() / "src" / "crcd":
            return _git(package, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        pass
    return crcd.__version__


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
