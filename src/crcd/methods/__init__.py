"""Distillation methods by name."""

from typing import Any

from crcd.errors import CrcdError, unknown
from crcd.methods.crcd import CRCD, CRCDConfig
from crcd.methods.kd import KD, KDConfig
from crcd.methods.method import Method

METHODS: dict[str, tuple[type[Method], type[Any]]] = {
    "kd": (KD, KDConfig),
    "crcd": (CRCD, CRCDConfig),
}
"""Each method's class and the class of its settings; ``ce`` is the student alone and has neither."""

PLAIN = "ce"


def method_names() -> list[str]:
    """Names that ``find_method`` knows."""
    return [PLAIN, *METHODS]


def find_method(name: str) -> type[Method] | None:
    """The method of this name, or None for ``ce``: cross-entropy without a teacher.

    Raises:
        CrcdError: no method has this name.
    """
    if name == PLAIN:
        return None
    if name not in METHODS:
        if "," in name:
            raise CrcdError(f"unknown method '{name}': separate methods by spaces, --methods {name.replace(',', ' ')}")
        raise unknown("method", name, method_names())
    return METHODS[name][0]
