"""Live views of a run: TensorBoard, and Weights & Biases or what has its interface."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

from crcd import distributed
from crcd.config_file import to_plain
from crcd.errors import CrcdError
from crcd.files import file_stem

LoggerName = Literal["tensorboard", "wandb", "trackio"]
PROJECT = "crcd"
"""Project of the runs, unless ``WANDB_PROJECT`` or ``TRACKIO_PROJECT`` name another."""

log = logging.getLogger(__name__)


class Logger(Protocol):
    """Shows numbers while they come."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers at a step, by names such as ``top1/kd``: what it is, and the curve that it belongs to."""
        ...

    def close(self) -> None:
        """No more will come."""
        ...


class TensorBoard:
    """Event files in a folder of their own for each curve, so that all curves of a number are in one chart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, Any] = {}

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        for name, value in values.items():
            what, _, curve = name.rpartition("/")
            if curve not in self._writers:
                self._writers[curve] = SummaryWriter(str(self._folder / curve))
            self._writers[curve].add_scalar(what, value, step)
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


class Tracker:
    """A run of Weights & Biases or trackio.

    Args:
        run: what ``init`` of either gives.
    """

    def __init__(self, run: Any) -> None:
        self._run = run

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


class Loggers:
    """All loggers of a run, each opened when the first numbers come.

    One that fails, for want of network say, is left out after one warning: none ends the run. Of several processes
    the first one alone logs.

    Args:
        names: of the loggers.
        folder: of the run.
        config: its settings, shown beside its numbers.
        identity: of the run, the same in each of its sittings: they go on with one log.
    """

    def __init__(self, names: Sequence[LoggerName], folder: Path, config: Any, identity: str) -> None:
        self._waiting = list(names) if distributed.rank() == 0 else []
        self._folder, self._config, self._identity = folder, config, identity
        self._open: dict[str, Logger] = {}

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """See ``Logger``."""
        for name in self._waiting:
            with self._surviving(name):
                self._open[name] = self._start(name)
        self._waiting = []
        for opened, logger in list(self._open.items()):
            with self._surviving(opened):
                logger.scalars(step, values)

    def close(self) -> None:
        """See ``Logger``."""
        for opened, logger in list(self._open.items()):
            with self._surviving(opened):
                logger.close()
        self._open = {}

    @contextmanager
    def _surviving(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a service and its client fail in many ways
            self._open.pop(name, None)
            reason = " ".join(str(error).split()) or type(error).__name__
            log.warning("--log %s failed (%s): the run goes on without it", name, reason)

    def _start(self, name: LoggerName) -> Logger:
        if name == "tensorboard":
            return TensorBoard(self._folder / "tensorboard")
        project = os.environ.get(f"{name.upper()}_PROJECT", PROJECT)
        title = "/".join(self._folder.absolute().parts[-2:])
        settings = {"project": project, "resume": "allow", "config": to_plain(self._config)}
        module = import_module(name)
        if name == "trackio":  # knows a run again by its name
            return Tracker(module.init(name=f"{title}-{self._identity}", **settings))
        return Tracker(module.init(id=self._identity, name=title, dir=str(self._folder), **settings))


def curves(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The numbers of an epoch's metrics lines, by names such as ``top1/kd``; curves are called as learners' files."""
    return {
        f"{name}/{file_stem(record['learner'])}": float(value)
        for record in records
        for name, value in record.items()
        if name not in ("epoch", "learner") and value is not None
    }


def check_installed(names: Sequence[LoggerName]) -> None:
    """Raises ``CrcdError`` if the package of a logger is missing."""
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            raise CrcdError(f'--log {name} needs the package {name}: pip install "crcd[{name}]"') from error
