"""Settings as plain YAML and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from crcd.errors import CrcdError, unknown

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")

WITHOUT_EFFECT = (
    *("out", "resume", "recipe", "time_budget", "device", "weak_teacher", "keep_going"),
    *("workers", "download", "checkpoint_seconds", "data_dir", "capture", "teacher_cache", "log"),
)
"""Settings that may change between the sittings of one run: they change no number on the same device."""


def to_plain(config: Any) -> Any:
    """Settings as mappings, lists, strings and numbers; paths become absolute."""
    if is_dataclass(config):
        return {f.name: to_plain(getattr(config, f.name)) for f in fields(config)}
    if isinstance(config, tuple):
        return [to_plain(item) for item in config]
    return str(config.absolute()) if isinstance(config, Path) else config


def fingerprint(config: Any) -> str:
    """Hash of all settings that have an effect on the numbers of a run."""
    plain = {name: value for name, value in to_plain(config).items() if name not in WITHOUT_EFFECT}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        CrcdError: the file is absent, no YAML, or no mapping.
    """
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CrcdError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CrcdError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(plain, dict):
        raise CrcdError(f"{path}: holds no settings; write lines such as 'epochs: 20'")
    return plain


def fill(config: C, plain: Mapping[str, Any], source: Path | str) -> C:
    """The settings with those of a YAML mapping put in place.

    Args:
        config: a dataclass of settings, the values of all that the mapping does not name.
        plain: values by setting; settings of a method are a mapping of their own.
        source: where they stand, for the error.

    Raises:
        CrcdError: a name is no setting, or a value is not of the setting's type.
    """
    hints = _kinds(type(config))
    values = {}
    for name, value in plain.items():
        if name not in hints:
            raise CrcdError(f"{source}: {unknown('setting', str(name), hints)}")
        current = getattr(config, name)
        if is_dataclass(current) and not isinstance(current, type) and isinstance(value, Mapping):
            values[name] = fill(current, value, source)
        else:
            values[name] = _convert(value, hints[name], f"{source}: setting '{name}'")
    return replace(config, **values)


@cache
def _kinds(settings: type) -> dict[str, Any]:
    """What each setting is declared as."""
    return get_type_hints(settings)


def _convert(value: Any, kind: Any, where: str) -> Any:
    """The value as the type that the setting is declared with."""
    if get_origin(kind) is UnionType:
        if value is None and NoneType in get_args(kind):
            return None
        (kind,) = (option for option in get_args(kind) if option is not NoneType)
    if get_origin(kind) is Literal and value in get_args(kind):
        return value
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_convert(item, get_args(kind)[0], where) for item in value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and type(value) is kind:
        return value
    if kind is float and isinstance(value, str):
        return _number(value, where)
    raise CrcdError(f"{where} is {value!r}: give {_describe(kind)}")


def _number(text: str, where: str) -> float:
    """YAML reads 5e-4 as text: it asks for 5.0e-4."""
    try:
        return float(text)
    except ValueError as error:
        raise CrcdError(f"{where} is {text!r}: give a number") from error


def _describe(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(str(option) for option in get_args(kind))
    if get_origin(kind) is tuple:
        return "a list, such as [a, b]"
    names: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return names.get(kind, "a path" if kind is Path else "a mapping")
