"""Complementary Relation Contrastive Distillation (CRCD): small image classifiers as good as large ones."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crcd.models import Viewer
    from crcd.relation import CRCDLoss, RelationConfig, View

__version__ = "0.1.0"
__all__ = ["CRCDLoss", "RelationConfig", "View", "Viewer"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command line starts without torch."""
    if name == "Viewer":
        from crcd.models import Viewer

        return Viewer
    if name in __all__:
        from crcd import relation

        return getattr(relation, name)
    raise AttributeError(f"module 'crcd' has no attribute '{name}'")
