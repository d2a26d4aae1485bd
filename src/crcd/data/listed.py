"""Images that two lists name: train.csv and val.csv, or train.parquet and val.parquet."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crcd.data.dataset import UNLABELLED, DataSet
from crcd.data.folder import IMAGENET_STATISTICS, Part, from_parts
from crcd.errors import CrcdError, few

SUFFIXES = (".csv", ".parquet")
COLUMNS = ("path", "label")
NAME_COLUMN = "class_name"
"""An optional column: what the class of a label is called."""


def listed(root: Path, image_size: int | None, *, skip_corrupt: bool) -> DataSet:
    """Images of any size and mode as RGB squares of ``image_size`` (64).

    Each row of a list has the ``path`` of an image, relative to the list's own folder, and its ``label``, a text or a
    number. Labels are classes in the order of their numbers, if all are whole numbers, else of their texts. A column
    ``class_name``, if there is one in the training list, names them; otherwise they stand for themselves. A training
    image without a label is learned from without one.

    Raises:
        CrcdError: a list, a column or an image is missing, a label of val is none of train, a path is in both lists, a
            class has no images, two names or another's, or images are corrupt and not to be skipped.
    """
    parts = listed_parts(root)
    size = image_size or 64
    return from_parts("list", parts, tuple(parts[0].classes), size, IMAGENET_STATISTICS, skip_corrupt=skip_corrupt)


def listed_parts(root: Path) -> tuple[Part, Part]:
    """What the lists of training and validation images name; errors as of ``listed``, but for corrupt images."""
    train, val = (_list_file(root, part) for part in ("train", "val"))
    rows = _rows(train)
    labels = ordered_labels({row["label"] for row in rows if row["label"]})
    names = _class_names(train, rows, labels)
    parts = _part(train, rows, labels, names), _part(val, _rows(val), labels, names)
    learned = {Path(path).resolve() for path, _ in parts[0].samples}
    if both := [path for path, _ in parts[1].samples if Path(path).resolve() in learned]:
        raise CrcdError(f"{val} and {train} both name {few(both)}: an image to score on must not be learned from")
    return parts


def has_list(root: Path) -> bool:
    """Whether a folder has a list of training images."""
    return any((root / f"train{suffix}").is_file() for suffix in SUFFIXES)


def _list_file(root: Path, part: str) -> Path:
    found = [root / f"{part}{suffix}" for suffix in SUFFIXES if (root / f"{part}{suffix}").is_file()]
    if not found:
        columns = " and ".join(COLUMNS)
        raise CrcdError(f"{root} has neither {part}.csv nor {part}.parquet: write one with columns {columns}")
    if len(found) > 1:
        raise CrcdError(f"{root} has both {part}.csv and {part}.parquet: remove one")
    return found[0]


def _rows(file: Path) -> list[dict[str, str]]:
    """Rows of a list, all values as texts."""
    columns, rows = _read_csv(file) if file.suffix == ".csv" else _read_parquet(file)
    if absent := [column for column in COLUMNS if column not in columns]:
        raise CrcdError(f"{file} has no column {' and no column '.join(absent)} (it has {few(columns)})")
    if not rows:
        raise CrcdError(f"{file} names no image")
    wanted = [column for column in (*COLUMNS, NAME_COLUMN) if column in columns]
    return [{column: _text(row[column]) for column in wanted} for row in rows]


def _read_csv(file: Path) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            return list(reader.fieldnames or ()), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CrcdError(f"{file} can't be read ({error}): write it as CSV in UTF-8, column names first") from error


def _read_parquet(file: Path) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise CrcdError(f'{file} needs the package pyarrow: pip install "crcd[parquet]", or write it as CSV') from error
    try:
        table = parquet.read_table(file)
    except (OSError, ArrowException) as error:
        raise CrcdError(f"{file} can't be read ({' '.join(str(error).split())}): write it anew") from error
    return table.column_names, table.to_pylist()


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def ordered_labels(labels: set[str]) -> list[str]:
    """Labels in the order of their numbers, if all are whole numbers, else of their texts."""
    whole = all(re.fullmatch(r"-?\d+", label) for label in labels)
    return sorted(labels, key=lambda label: (int(label), label)) if whole else sorted(labels)


def _class_names(file: Path, rows: Sequence[Mapping[str, str]], labels: Sequence[str]) -> list[str]:
    """What the labels are called."""
    names: dict[str, str] = {}
    for place, row in enumerate(rows, start=1):
        name = row.get(NAME_COLUMN) or row["label"]
        if row["label"] and names.setdefault(row["label"], name) != name:
            before = names[row["label"]]
            raise CrcdError(f"{file}, row {place}: label {row['label']} is called {name}, but {before} above it")
    return [names[label] for label in labels]


def _part(file: Path, rows: Sequence[Mapping[str, str]], labels: Sequence[str], names: Sequence[str]) -> Part:
    number = {label: i for i, label in enumerate(labels)} | ({"": UNLABELLED} if file.stem == "train" else {})
    for place, row in enumerate(rows, start=1):
        if not row["path"]:
            raise CrcdError(f"{file}, row {place}: it has no path")
        if row["label"] not in number:
            fault = f"'{row['label']}' is the label of no training image" if row["label"] else "it has no label"
            raise CrcdError(f"{file}, row {place}: {fault}")
    samples = [(str(file.parent / row["path"]), number[row["label"]]) for row in rows]
    if missing := [path for path, _ in samples if not Path(path).is_file()]:
        where = f"paths are relative to {file.parent}"
        raise CrcdError(f"{file}: {len(missing)} of {len(samples)} images are missing ({few(missing)}): {where}")
    return Part(file, names, samples)
