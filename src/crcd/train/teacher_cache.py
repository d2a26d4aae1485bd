"""A teacher's views of a fixed pool of augmentations, on the disk: it is asked once a view, not once an epoch."""

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from crcd import distributed
from crcd.data import Batch, Loader
from crcd.errors import CrcdError
from crcd.files import write_atomically
from crcd.models import ImageFormat, weights_digest
from crcd.relation.view import View
from crcd.train.config import DistillConfig
from crcd.train.reporter import Reporter
from crcd.train.stop import StopSignal
from crcd.train.teacher import Teacher

log = logging.getLogger(__name__)


class TeacherCache:
    """Files FOLDER/HASH-view000.safetensors, HASH-view001.safetensors, ..., one for each view of a loader's pool.

    A file holds the teacher's ``logits`` [n, C] and ``feature`` [n, D] of the first n images in their order, rounded
    to float16; n is N once the view is whole. Its metadata say what the answers depend on: network, precision and
    weights of the teacher, pixels and their normalisation, augmentation. The hash is of these; it depends neither on
    how many views there are nor on seed or student of a run, so that many runs share a folder.

    Args:
        folder: made when the first file is written.
        config: name of the teacher's network, and the precision in which it computes.
        model: the teacher itself, as it was trained.
        loader: has the pool.
        images: those that the teacher makes of the loader's; None where it takes them as they are.
    """

    def __init__(
        self, folder: Path, config: DistillConfig, model: nn.Module, loader: Loader, images: ImageFormat | None = None
    ) -> None:
        self.folder = folder
        self.loader = loader
        assert loader.pool_RNP is not None
        self.views = len(loader.pool_RNP)
        teacher = f"{config.teacher} in {config.precision}, {weights_digest(model.state_dict())}"
        if images is not None:
            teacher += f", of images of {images}"
        self.identity = {"teacher": teacher, **loader.pool_identity(), "stored": "float16"}
        self.hash = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:16]

    def path(self, view: int) -> Path:
        """File of a view."""
        return self.folder / f"{self.hash}-view{view:03}.safetensors"

    def rows(self, view: int) -> int:
        """How many images a view's file holds; 0 if it is absent or damaged."""
        path = self.path(view)
        if not path.exists():
            return 0
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata()
            tensors = load_file(path)
        except SafetensorError:
            metadata, tensors = {}, {}
        return len(tensors["logits"]) if metadata == self._metadata(view, tensors) else 0

    def fill(self, teacher: Teacher, stop: StopSignal, reporter: Reporter) -> dict[str, float]:
        """Ask the teacher for the views, or the parts of them, that are not there yet.

        Args:
            teacher: is asked.
            stop: asks to stop early.
            reporter: is told what happens.

        Returns:
            ``views``, the ``bytes`` of their files, and the ``seconds`` of asking: 0 where everything was there.

        Raises:
            RunStopped: a signal or the time budget ended it before; what is done is kept.
            CrcdError: the teacher's numbers are not finite in float16, or a file could not be written.
        """
        images = len(self.loader.images)
        rows = distributed.first(lambda: [self.rows(view) for view in range(self.views)])
        for view, count in enumerate(rows):
            if count == 0 and self.path(view).exists():
                log.warning("%s is damaged; this view of the teacher is made again", self.path(view))
        seconds = 0.0
        if sum(rows) < self.views * images:
            began = time.monotonic()
            distributed.first(lambda: self.folder.mkdir(parents=True, exist_ok=True))
            reporter.begin_filling(self.views, images, sum(rows))
            try:
                with stop:
                    for view in range(self.views):  # other runs may fill the same folder meanwhile
                        if rows[view] < images and (done := distributed.first(partial(self.rows, view))) < images:
                            self._fill_view(view, done // self.loader.batch_size, teacher, stop, reporter)
            finally:
                reporter.end()
            seconds = round(time.monotonic() - began, 3)
        size = distributed.first(lambda: sum(self.path(view).stat().st_size for view in range(self.views)))
        return {"views": self.views, "bytes": size, "seconds": seconds}

    def _fill_view(self, view: int, step: int, teacher: Teacher, stop: StopSignal, reporter: Reporter) -> None:
        """Go on with a view after ``step`` batches, to its end or to a reason to stop, and write it from memory."""
        kept = load_file(self.path(view)) if step > 0 else {}
        parts = {name: [tensor[: step * self.loader.batch_size]] for name, tensor in kept.items()}
        for inputs in self.loader.pool_inputs(view, step):
            answer = teacher(self.loader.batch(inputs))
            for name, tensor in (("logits", answer.logits), ("feature", answer.feature)):
                parts.setdefault(name, []).append(_rounded(tensor, f"{name} of view {view}").cpu())
            reporter.fill(len(answer.logits))
            if stop.due():
                break
        tensors = {name: torch.cat(rows) for name, rows in parts.items()}
        content = save(tensors, self._metadata(view, tensors))
        if len(tensors["logits"]) > self.rows(view):
            write_atomically(self.path(view), lambda file: file.write(content))
        if stop.due():
            raise stop.stopped(f"in view {view + 1} of {self.views} of the teacher")

    def _metadata(self, view: int, tensors: Mapping[str, Tensor]) -> dict[str, str]:
        return {**self.identity, "view": str(view), "sha256": weights_digest(tensors)}


class CachedTeacher:
    """What the teacher saw in the views of its cache, in place of asking it.

    Rows are those of the live teacher on the same augmented images, rounded to float16 (a relative error of up to
    2^-11) and given as float32; the classifier is the teacher's own. Two runs that read the same files get the same
    bits. On the CPU the files are mapped into memory, not read; to a GPU they are copied once, and a batch's rows are
    gathered there without the host.

    Args:
        cache: filled.
        teacher: the live one.

    Raises:
        CrcdError: a view is not whole, or they do not fit on a GPU.
    """

    def __init__(self, cache: TeacherCache, teacher: Teacher) -> None:
        files = [load_file(cache.path(view)) for view in range(cache.views)]
        for view, file in enumerate(files):
            if len(file["logits"]) < len(cache.loader.images):
                raise CrcdError(f"{cache.path(view)} was cut short meanwhile: run again, the rest is filled then")
        example = cache.loader.batch(next(cache.loader.pool_inputs(0)))
        self.classifier = teacher(example).classifier
        device = cache.loader.device
        self.logits, self.feature = (_views([file[name] for file in files], device) for name in ("logits", "feature"))

    def __call__(self, batch: Batch) -> View:
        """View of a batch of the loader whose pool filled the cache."""
        assert batch.pool_view is not None
        assert batch.index is not None
        logits, feature = (_gather(views, batch.pool_view, batch.index) for views in (self.logits, self.feature))
        return View(logits.float(), feature.float(), self.classifier)


def _views(mapped: list[Tensor], device: torch.device) -> list[Tensor] | Tensor:
    """The R views [N, D] as they are on the CPU, as one tensor [R, N, D] on a GPU."""
    if device.type == "cpu":
        return mapped
    try:
        views_RND = torch.empty(len(mapped), *mapped[0].shape, dtype=mapped[0].dtype, device=device)
    except torch.OutOfMemoryError as error:
        raise CrcdError(f"{len(mapped)} views of the teacher do not fit on {device}: lower --teacher-views") from error
    for view_ND, file_ND in zip(views_RND, mapped, strict=True):
        view_ND.copy_(file_ND)
    return views_RND


def _gather(views: list[Tensor] | Tensor, view_B: Tensor, index_B: Tensor) -> Tensor:
    """Row ``index`` of view ``view`` for each sample, [B, D]."""
    if isinstance(views, Tensor):
        return views[view_B, index_B]
    return torch.stack([views[r][i] for r, i in zip(view_B.tolist(), index_B.tolist(), strict=True)])


def _rounded(x: Tensor, what: str) -> Tensor:
    rounded = x.half()
    if not torch.isfinite(rounded).all():
        raise CrcdError(
            f"the teacher's {what} reach {x.abs().max().item():.3g}, and float16 holds finite numbers up to 65504: "
            "leave out --teacher-views, so that the teacher is asked at each step"
        )
    return rounded
