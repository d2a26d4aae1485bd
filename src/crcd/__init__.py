"""Complementary Relation Contrastive Distillation (CRCD): small image classifiers as good as large ones."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crcd.data import Batch
    from crcd.methods import Method, build_method
    from crcd.models import Viewer, stage_names
    from crcd.relation import CRCDLoss, RelationConfig, View

__version__ = "0.1.0"
__all__ = ["Batch", "CRCDLoss", "Method", "RelationConfig", "View", "Viewer", "build_method", "stage_names"]

_HOMES = {
    "Batch": "data",
    "Method": "methods",
    "Viewer": "models",
    "build_method": "methods",
    "stage_names": "models",
}
"""Packages of the public names; the others are of ``relation``."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command line starts without torch."""
    if name in __all__:
        return getattr(import_module(f"crcd.{_HOMES.get(name, 'relation')}"), name)
    raise AttributeError(f"module 'crcd' has no attribute '{name}'")
