"""A trained network made files that others can run, each checked against the network."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from crcd.errors import CrcdError
from crcd.evaluate.accuracy import top1
from crcd.export.card import model_card
from crcd.export.check import compare, images_to_check, spread_over
from crcd.export.exported import Exported
from crcd.export.formats import FormatName, Logits, file_name, format_of
from crcd.export.images import RunImages
from crcd.export.int8 import CALIBRATION_IMAGES, FILE, Int8, quantise
from crcd.export.source import Source, read_source
from crcd.files import file_stem, write_text
from crcd.train.options import require


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is handed on, and where to."""

    format: tuple[FormatName, ...] = ("safetensors",)
    """Forms: safetensors, the weights, for timm, torchvision or crcd, whichever the network is of; onnx, a program for
    ONNX Runtime and others; pt2, a program of torch.export. Programs take normalised float32 images, any number."""
    learner: str | None = None
    """Which network of the run: a learner's name, or teacher; None takes the only one, or the only one of crcd."""
    model: str | None = None
    """Its network, named as for crcd train, where that is code of your own; None takes what the weights name."""
    data: str | None = None
    """Data set to check with; None takes the run's."""
    data_dir: Path | None = None
    """Where it lies, if that is no longer where the run had it."""
    int8: bool = False
    """Beside the ONNX program, write one in 8-bit integers, calibrated on training images, and measure its accuracy."""
    license: str | None = None
    """Licence of the weights, for the model card, such as mit or apache-2.0."""
    out: Path | None = None
    """Folder of the export; None takes export/LEARNER-FORMAT of the run."""

    def __post_init__(self) -> None:
        require(len(self.format) > 0, "format", "empty", "name at least one, such as onnx")
        require("onnx" in self.format or not self.int8, "int8", True, "give --format onnx, too: it is made of that")


@dataclass(frozen=True)
class Export:
    """A finished export.

    Attributes:
        folder: where its files lie.
        source: the network.
        files: that can be run.
        int8: what quantisation came to, if it was asked for.
    """

    folder: Path
    source: Source
    files: list[Exported]
    int8: Int8 | None


def export(runs: Sequence[Path], options: ExportOptions, repo: str | None = None) -> Export:
    """Write a network of a run, a model card and a description into a folder of their own.

    Args:
        runs: folders of ended runs; the network is of the first, the others, of other seeds, give the spread.
        options: what is wanted.
        repo: where it will lie on the hub, for the card.

    Raises:
        CrcdError: a mistake in the arguments, or a file does not give each image that is tried the network's class;
            then nothing is left.
    """
    source = read_source(runs, options.learner, options.model)
    learner = source.learner
    formats = list(dict.fromkeys(options.format))
    out = options.out or source.run / "export" / "-".join([file_stem(learner), *formats])
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CrcdError(f"{out} exists and is not empty: remove it, or name another folder with --out")
    images = RunImages(source, options.data, options.data_dir)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.with_name(f".export-{uuid4().hex[:8]}")
    try:
        folder.mkdir()  # named and made by itself: an interrupt finds it whenever it comes, tempfile's has a moment
        files = [_write(name, source, images, folder) for name in formats]
        int8 = None
        if options.int8:
            file, int8 = _quantised(source, images, folder)
            files.append(file)
        config = source.description.config() | {"crcd": _provenance(source, files, int8)}
        write_text(folder / "config.json", f"{json.dumps(config, indent=2)}\n")
        write_text(folder / "README.md", model_card(source, files, int8, options.license, repo))
        if out.exists():
            out.rmdir()
        os.replace(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Export(out, source, files, int8)


def _write(name: FormatName, source: Source, images: RunImages, folder: Path) -> Exported:
    """One file, compared with the network."""
    path, module = folder / file_name(name), format_of(name)
    module.write(source.model, source.description, path)
    written = _compared(path, name, module.read(path, source.description), source, images)
    if written.check.top1_agreement < 100:
        raise CrcdError(
            f"the export as {name} gives {100 - written.check.top1_agreement:.2f} % of {written.check.images} images "
            f"another class than the network does (largest difference of logits "
            f"{written.check.largest_difference:.2g}): it is not kept; try another --format"
        )
    return written


def _compared(path: Path, name: FormatName | None, logits: Logits, source: Source, images: RunImages) -> Exported:
    tried = images_to_check(images.scored)
    distinct = min(len(images.scored), len(tried))
    check = compare(source.model, logits, images.batches(tried), distinct)
    return Exported(path.name, name, path.stat().st_size, check)


def _quantised(source: Source, images: RunImages, folder: Path) -> tuple[Exported, Int8]:
    """The ONNX program in 8-bit integers, whatever accuracy it has."""
    float_path, path, onnx = folder / file_name("onnx"), folder / FILE, format_of("onnx")
    count = min(CALIBRATION_IMAGES, len(images.train))
    quantise(float_path, path, images.batches(images.train.take(spread_over(images.train, count))))
    float32, integer = (onnx.read(file, source.description) for file in (float_path, path))
    labels_N = images.scored.labels
    score, float_score = (
        top1(torch.cat([logits(batch) for batch in images.batches(images.scored)]), labels_N)
        for logits in (integer, float32)
    )
    return _compared(path, None, integer, source, images), Int8(len(labels_N), score, float_score, count)


def _provenance(source: Source, files: Sequence[Exported], int8: Int8 | None) -> dict[str, Any]:
    """What the description says beside what timm reads."""
    own = source.top1
    return {
        "model": source.description.model,
        "data": source.description.data,
        "learner": source.learner,
        "top1": source.scores["top1"],
        "top1_over_seeds": {"mean": own.mean, "std": own.std if own.n > 1 else None, "seeds": own.n},
        "files": {file.name: {"bytes": file.bytes, **asdict(file.check)} for file in files},
        **({"int8": asdict(int8)} if int8 is not None else {}),
    }
