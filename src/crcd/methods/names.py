"""What a learner is called: ``ce``, ``kd``, ``crcd+kd``, ``crcd+kd@crcd.negatives=512,kd.weight=1``."""

from functools import cache
from typing import Any

import yaml

from crcd.errors import CrcdError


def split_name(name: str) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """The methods in a learner's name, and which settings of them it changes.

    Args:
        name: methods joined by +, then perhaps @ and METHOD.SETTING=VALUE joined by commas.

    Returns:
        The methods' names, unchecked; values by setting by method.

    Raises:
        CrcdError: a change is not written so, stands twice, or is of a method that the name has not.
    """
    methods, _, rest = name.partition("@")
    parts = methods.split("+")
    changes: dict[str, dict[str, Any]] = {}
    for change in rest.split(",") if "@" in name else ():
        target, equals, value = change.partition("=")
        part, dot, setting = target.rpartition(".")
        if not (part and dot and setting and equals and value):
            raise CrcdError(
                f"method '{name}': '{change}' is no change; write METHOD.SETTING=VALUE, as in kd@kd.weight=1"
            )
        if part not in parts:
            raise CrcdError(f"method '{name}': '{change}' changes '{part}', which is not one of {', '.join(parts)}")
        if setting in changes.setdefault(part, {}):
            raise CrcdError(f"method '{name}' sets {target} twice: set it once")
        changes[part][setting] = _value(value)
    return parts, changes


def join_name(parts: list[str], changes: dict[str, dict[str, Any]]) -> str:
    """The name that ``split_name`` takes apart."""
    written = [f"{part}.{setting}={_text(value)}" for part in parts for setting, value in changes.get(part, {}).items()]
    return "+".join(parts) + ("@" + ",".join(written) if written else "")


@cache
def _value(text: str) -> Any:
    """A value as YAML reads it, so that numbers, true and null are what they are in a recipe."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
