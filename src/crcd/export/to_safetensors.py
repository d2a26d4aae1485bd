"""Weights alone, for the code that makes the network: this package, timm, torchvision or transformers."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from crcd.export.description import Description
from crcd.export.formats import Logits
from crcd.models import create_model, load_weights, read_metadata, save_weights


def write(model: nn.Module, description: Description, path: Path) -> None:
    """See ``Format``."""
    save_weights(model.state_dict(), path, description.strings)


def strings(path: Path) -> Mapping[str, str]:
    """See ``Format``."""
    return read_metadata(path)


def read(path: Path, description: Description) -> Logits:
    """See ``Format``."""
    model = create_model(description.model, len(description.class_names), description.images.channels).eval()
    load_weights(model, path)

    def logits(image_BCHW: Tensor) -> Tensor:
        with torch.inference_mode():
            logits_BC: Tensor = model(image_BCHW)
            return logits_BC

    return logits
