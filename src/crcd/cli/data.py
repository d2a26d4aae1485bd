"""crcd data."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from crcd.cli.data_folder import find_data
from crcd.data.check import Report, check
from crcd.data.fetch import fetch
from crcd.errors import unknown

USAGE = """usage: crcd data fetch NAME --data-dir DIR
       crcd data check NAME --data-dir DIR
       crcd data check DIR

fetch downloads a data set by its official loader and verifies it. check says what there is: images and classes of each
part, sizes, files that can't be read, copies. Its exit status is 0 if the data set is sound and 1 if something is
broken. Names are those of crcd list data, and hf/NAME for image data sets of the Hugging Face hub."""


SHOWN = 20
"""Faults that are printed."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which data set, and where."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """Name of a data set; for check also a folder that holds one."""
    data_dir: Path | None = None
    """Where the data set lies, or is put."""


def run(words: Sequence[str]) -> None:
    """Fetch or check a data set, and say what there is.

    Raises:
        SystemExit: with status 1, if something is broken; with status 2, after the usage, without words.
    """
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        if not words:
            sys.exit(2)
        return
    actions = {"fetch": fetch, "check": _check}
    if words[0] not in actions:
        raise unknown("crcd data command", words[0], actions)
    request = tyro.cli(Request, args=list(words[1:]), prog=f"crcd data {words[0]}")
    report = actions[words[0]](request.name, request.data_dir)
    _show(report)
    if report.faults:
        sys.exit(1)


def _check(name: str, root: Path | None) -> Report:
    return check(*find_data(name, root))


def _show(report: Report) -> None:
    print(report.title)
    for line in report.lines:
        print(f"  {line}")
    for remark in report.remarks:
        print(f"  note: {remark}")
    for fault in report.faults[:SHOWN]:
        print(f"  fault: {fault}")
    if report.faults[SHOWN:]:
        print(f"  and {len(report.faults) - SHOWN} faults more")
    print("not sound" if report.faults else "sound")
