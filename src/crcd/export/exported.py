"""A file of an export."""

from dataclasses import dataclass

from crcd.export.check import Check
from crcd.export.formats import FormatName


@dataclass(frozen=True)
class Exported:
    """What was written, and how it compares with the network.

    Attributes:
        name: of the file.
        format: what is in it; None for the int8 program.
        bytes: its size.
        check: comparison with the network.
    """

    name: str
    format: FormatName | None
    bytes: int
    check: Check
