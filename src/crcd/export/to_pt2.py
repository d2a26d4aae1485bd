"""A program of torch.export: the network's operations and weights, for any number of images, without its code."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from crcd.errors import CrcdError
from crcd.export.description import Description
from crcd.export.formats import Logits

EXTRA_FILE = "crcd.json"
"""What the description is called within the file."""


def capture(model: nn.Module, description: Description) -> ExportedProgram:
    """The network in eval mode as a program of images [B, C, H, W], any B.

    Raises:
        CrcdError: torch.export can't follow the network's code.
    """
    images = description.images
    example = torch.zeros(2, images.channels, images.size, images.size)
    try:
        with torch.no_grad():
            return torch.export.export(_Network(model.eval()), (example,), dynamic_shapes=({0: Dim("batch")},))
    except Exception as error:  # it runs the network's own code on symbols, which can fail in any way
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        advice = "torch.export can't follow its code; --format safetensors does not need to"
        raise CrcdError(f"model '{description.model}' can't be made a program ({reason}): {advice}") from error


class _Network(nn.Module):
    """The network behind a call, so that hooks on it are run, and its argument has one name."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.model(image)
        return logits


def write(model: nn.Module, description: Description, path: Path) -> None:
    """See ``Format``."""
    extra = {EXTRA_FILE: json.dumps(dict(description.strings))}
    torch.export.save(capture(model, description), path, extra_files=extra)


def strings(path: Path) -> Mapping[str, str]:
    """See ``Format``. Nothing in the file is run."""
    try:
        with zipfile.ZipFile(path) as file:
            (name,) = (name for name in file.namelist() if name.endswith(f"/extra/{EXTRA_FILE}"))
            found: dict[str, str] = json.loads(file.read(name))
    except (zipfile.BadZipFile, ValueError) as error:
        raise CrcdError(f"{path} is no program that crcd export wrote: give another file") from error
    return found


def read(path: Path, description: Description) -> Logits:
    """See ``Format``. What is in the file can run code as it is opened: PyTorch unpickles some of it."""
    try:
        program = torch.export.load(path).module()
    except Exception as error:  # a damaged file can fail in any way
        raise CrcdError(f"{path} can't be read ({str(error).partition(chr(10))[0]}): is the copy complete?") from error

    def logits(image_BCHW: Tensor) -> Tensor:
        with torch.inference_mode():
            logits_BC: Tensor = program(image_BCHW)
            return logits_BC

    return logits
