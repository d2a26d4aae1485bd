"""What a network costs: size, work and time."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from crcd.models import ImageFormat, fold_batchnorm

BATCHES = (1, 64)
MEASURED_SECONDS = 0.3
"""How long each time is measured; the median of its repetitions counts."""


@dataclass(frozen=True)
class Cost:
    """One network's cost.

    Attributes:
        parameters: trained values.
        multiply_adds: of one image.
        file_bytes: size of its weights' file; None where that is gone.
        latency: seconds of a forward pass, by the number of images in its batch; empty where it was not measured.
    """

    parameters: int
    multiply_adds: int
    file_bytes: int | None
    latency: dict[int, float]


def cost(entry: dict[str, Any], weights: Path, latency: dict[int, float]) -> Cost:
    """The cost of a network of a summary."""
    size = weights.stat().st_size if weights.is_file() else None
    return Cost(entry["parameters"], entry["multiply_adds"], size, latency)


def measure_latency(model: nn.Module, images: ImageFormat, device: torch.device) -> dict[int, float]:
    """Median seconds of a forward pass by batch size, with as many threads as PyTorch uses; a GPU is waited for.

    The network is in eval mode and float32, its batch normalisations folded, as one would use it; not compiled.

    Args:
        model: images -> logits.
        images: what it takes.
        device: where it computes.
    """
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # warns of CUDA's compiler without a GPU
    from torch.utils.benchmark import Timer

    network = fold_batchnorm(model).to(device).eval()
    latency = {}
    with torch.inference_mode():
        for batch in BATCHES:
            shape = (batch, images.channels, images.size, images.size)
            image = torch.zeros(shape, device=device).contiguous(memory_format=torch.channels_last)
            network(image)  # the first one chooses algorithms
            names = {"network": network, "image": image}
            timer = Timer("network(image)", globals=names, num_threads=torch.get_num_threads())
            latency[batch] = float(timer.blocked_autorange(min_run_time=MEASURED_SECONDS).median)
    return latency
