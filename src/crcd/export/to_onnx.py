"""A program of ONNX, for any number of images, run here by ONNX Runtime."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crcd.errors import CrcdError
from crcd.export.description import Description
from crcd.export.formats import Logits
from crcd.export.to_pt2 import capture

INPUT, OUTPUT = "image", "logits"
ERRORS_ONLY = 3
"""ONNX Runtime's level of messages."""


def write(model: nn.Module, description: Description, path: Path) -> None:
    """See ``Format``."""
    needed("onnx")
    needed("onnxscript")
    program = torch.onnx.export(
        capture(model, description),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        external_data=False,
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update(description.strings)
    program.save(path)


def strings(path: Path) -> Mapping[str, str]:
    """See ``Format``."""
    found: dict[str, str] = _session(path).get_modelmeta().custom_metadata_map
    return found


def read(path: Path, description: Description) -> Logits:
    """See ``Format``."""
    session = _session(path)

    def logits(image_BCHW: Tensor) -> Tensor:
        (logits_BC,) = session.run([OUTPUT], {INPUT: image_BCHW.contiguous().numpy()})
        return torch.from_numpy(logits_BC)

    return logits


def needed(package: str) -> Any:
    """A module of ONNX.

    Raises:
        CrcdError: its package is missing.
    """
    try:
        return import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        raise CrcdError(f'ONNX needs the package {name}: pip install "crcd[onnx]"') from error


def _session(path: Path) -> Any:
    runtime = needed("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a damaged file can fail in any way
        raise CrcdError(f"{path} can't be read by ONNX Runtime ({' '.join(str(error).split())})") from error
