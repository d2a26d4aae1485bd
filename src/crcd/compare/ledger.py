"""The ledger: a JSONL file of measured cells, one line each."""

import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, Self

from crcd.compare.cell import Cell, setup_hash
from crcd.config_file import fill, to_plain
from crcd.errors import CrcdError
from crcd.methods import PLAIN
from crcd.methods.names import split_name
from crcd.train.config import DistillConfig

log = logging.getLogger(__name__)

NEEDED: dict[str, dict[str, type | UnionType]] = {
    "result": {"model": str, "top1": int | float},
    "teacher": {"model": str, "top1": int | float, "weights": str},
    "run": {"data": str, "scored_on": str, "scored_images": int, "commit": str, "device": str},
}
"""What tables and cells read of an entry's mappings."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One measured cell.

    Attributes:
        recipe: the recipe of its run.
        setup: the recipe, and what differs from it.
        method: name of the learner; after @, what differs from the recipe's settings of its methods.
        seed: of initial weights, order of the data, augmentation and choice of images.
        result: the student after the last epoch: network, its cost, ``top1`` and further scores, the loss and its
            parts, epochs, and seconds (null where all learners ran as one CUDA graph).
        top1_by_epoch: accuracy after each epoch, percent.
        teacher: network, cost, scores, how long it was trained, and ``weights``, the digest of its weights. ``given``
            says whether they came with the command, so that the settings do not tell how they were made.
        run: data, numbers of images, what was scored on, commit, device, versions, ``side_by_side``, the learners that
            shared the batches and the seconds of a step, and ``images``, a digest where no name stands for them.
        settings: all settings of the run that have an effect, those of other methods left out.
    """

    recipe: str
    setup: str
    method: str
    seed: int
    result: dict[str, Any]
    top1_by_epoch: list[float]
    teacher: dict[str, Any]
    run: dict[str, Any]
    settings: dict[str, Any]

    @classmethod
    def read(cls, plain: Mapping[str, Any], where: str) -> Self:
        """An entry of a line's content.

        Raises:
            CrcdError: a field is missing or not of its type.
        """
        kinds = {"seed": int, "top1_by_epoch": list, "recipe": str, "setup": str, "method": str}
        for field in fields(cls):
            kind = kinds.get(field.name, dict)
            if not isinstance(plain.get(field.name), kind):
                raise CrcdError(f"{where}: '{field.name}' is missing or not a {kind.__name__}; is this a ledger?")
        for group, names in NEEDED.items():
            for name, needed in names.items():
                if not isinstance(plain[group].get(name), needed):
                    called = getattr(needed, "__name__", "number")
                    raise CrcdError(f"{where}: '{group}.{name}' is missing or not a {called}; is this a ledger?")
        return cls(**{field.name: plain[field.name] for field in fields(cls)})

    @property
    def cell(self) -> Cell | None:
        """What it measured, told by the settings of today; None if they have no place for one of its settings.

        Of a method of the user's own code it is None unless the user, too, has named that code: none is imported on a
        file's word.
        """
        try:
            own = [part for part in split_name(self.method)[0] if ":" in part]
            if any(part.partition(":")[0] not in sys.modules for part in own):
                return None
            settings = {name: value for name, value in self.settings.items() if name not in own}
            config = fill(DistillConfig(), {**settings, "methods": [self.method], "seed": self.seed}, "ledger")
            today = config.method_settings(self.method)
            if any(self.settings.get(part) != to_plain(today[part]) for part in own):
                return None
            return Cell.of(config, self.method, self._given, self.run.get("images"))
        except CrcdError:
            return None

    @property
    def setup_hash(self) -> str | None:
        """The setup of its cell, told without code of methods; None if today has no place for one of its settings."""
        shared = {name: value for name, value in self.settings.items() if not isinstance(value, dict)}
        try:
            config = fill(DistillConfig(), {**shared, "methods": [PLAIN], "seed": self.seed}, "ledger")
        except CrcdError:
            return None
        return setup_hash(config, self._given, self.run.get("images"))

    @property
    def _given(self) -> str | None:
        """Digest of the teacher's weights where they came with the command."""
        return self.teacher["weights"] if self.teacher.get("given") else None

    @property
    def pair(self) -> tuple[int, str]:
        """Seed and teacher: entries in which both are the same are compared with one another."""
        return self.seed, self.teacher.get("weights", "")


class Ledger:
    """All entries of a file, and a way to add some.

    Args:
        path: the file; it need not exist.

    Raises:
        CrcdError: a line is JSON but no entry. A line that is cut off is left out, with a warning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self._cut_off: set[int] = set()
        self.read()

    def read(self) -> None:
        """Read the file anew: another process may have added to it."""
        path = self.path
        self.entries = []
        if not path.exists():
            return
        if not path.is_file():
            raise CrcdError(f"ledger {path} is no file: name a JSONL file with --ledger")
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CrcdError(f"ledger {path} can't be read ({error}): name a JSONL file with --ledger") from error
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                plain = json.loads(line)
            except json.JSONDecodeError:
                if number not in self._cut_off:
                    log.warning("%s: line %d is cut off, it is left out", path, number)
                self._cut_off.add(number)
                continue
            if not isinstance(plain, dict):
                raise CrcdError(f"{path} line {number}: no entry; is this a ledger?")
            self.entries.append(Entry.read(plain, f"{path} line {number}"))

    def append(self, entries: Iterable[Entry]) -> None:
        """Add entries with one write, flushed to the disk.

        Raises:
            CrcdError: the file can't be written.
        """
        entries = list(entries)
        self._write("".join(json.dumps(asdict(entry)) + "\n" for entry in entries))
        self.entries += entries

    def check_writable(self) -> None:
        """Raises ``CrcdError`` if entries could not be added: better now than after their training."""
        self._write("")

    def _write(self, text: str) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                if file.tell() > 0:
                    file.seek(-1, os.SEEK_END)
                    text = "\n" + text if text and file.read(1) != b"\n" else text
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise CrcdError(
                f"ledger {self.path} can't be written ({error.strerror}): make room or name another"
            ) from error

    def measured(self) -> dict[Cell, Entry]:
        """The latest entry of each cell."""
        return {cell: entry for entry in self.entries if (cell := entry.cell) is not None}
