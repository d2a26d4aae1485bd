"""An ONNX program in 8-bit integers, without training it further."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from crcd.export.to_onnx import INPUT, needed

CALIBRATION_IMAGES = 256
"""Training images, evenly spread, of which the ranges of activations are taken."""
FILE = "model.int8.onnx"
OPERATIONS = ("Conv", "Gemm", "MatMul")
"""ONNX operations that are done in 8 bits."""


@dataclass(frozen=True)
class Int8:
    """What it came to.

    Attributes:
        images: how many it was scored on.
        top1: its accuracy, percent.
        float_top1: that of the float32 program on the same images.
        calibration_images: how many its ranges were taken of.
    """

    images: int
    top1: float
    float_top1: float
    calibration_images: int


def quantise(source: Path, target: Path, batches: Iterable[Tensor]) -> None:
    """Convolutions and products of matrices of a float32 program in 8 bits, by ONNX Runtime's static quantisation.

    Weights are int8 within 7 bits, symmetric, with a scale for each output channel: with all 8 bits, sums of two
    products saturate on processors without VNNI. Activations are uint8 over the range that they have on the given
    images. The scales stand in the program as pairs of QuantizeLinear and DequantizeLinear.

    Args:
        source: the float32 program.
        target: file of the new one.
        batches: images, normalised for the network, [B, C, H, W].

    Raises:
        CrcdError: a package is missing.
    """
    needed("onnx")
    quantization: Any = needed("onnxruntime.quantization")
    shape_inference: Any = needed("onnxruntime.quantization.shape_inference")
    with TemporaryDirectory(dir=target.parent) as folder, _quiet():
        inferred = Path(folder) / "inferred.onnx"
        shape_inference.quant_pre_process(str(source), str(inferred))
        quantization.quantize_static(
            str(inferred),
            str(target),
            _Images(batches),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATIONS),
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
        )


class _Images:
    """What ONNX Runtime asks for images: a CalibrationDataReader, which it knows by its method."""

    def __init__(self, batches: Iterable[Tensor]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        """Inputs of the program by their names; None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch.contiguous().numpy()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, no warning is logged: the quantiser has one for each vector of weights, which has one scale alone."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
