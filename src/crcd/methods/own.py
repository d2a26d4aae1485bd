"""Methods of the user's own code, by the name ``package.module:Class``."""

from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints

from crcd.errors import CrcdError
from crcd.methods.method import Method
from crcd.own_code import from_own_code


def own_method(name: str) -> tuple[type[Method], type[Any]]:
    """The class of a method and that of its settings, which is the type of the ``config`` of its ``build``.

    Raises:
        CrcdError: there is no such class, it is no ``Method``, or its settings are no dataclass, or have no default.
    """
    kind = from_own_code("method", name)
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        raise CrcdError(f"method '{name}' is no subclass of crcd.methods.Method: derive it from that")
    try:
        settings = get_type_hints(kind.build).get("config")
    except NameError:  # a type that is only imported for the type checker
        settings = None
    if not (isinstance(settings, type) and is_dataclass(settings)):
        raise CrcdError(f"method '{name}': give the config of its build a type, the dataclass of its settings")
    if needy := [f.name for f in fields(settings) if f.default is f.default_factory is MISSING]:
        raise CrcdError(f"method '{name}': setting '{needy[0]}' has no default: give it one")
    return kind, settings
