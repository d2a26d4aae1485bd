"""Several methods at once."""

from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor, nn

from crcd.data.batch import Batch
from crcd.methods.method import Method
from crcd.relation.view import View


class Combined(Method):
    """The sum of several methods' losses, each with its own weight, such as ``crd+kd``.

    The cross-entropy beside them has the largest weight that one of them asks for. First stages of several come one
    after the other, in this order; a method that has no terms afterwards is no part of the sum.
    """

    def __init__(self, methods: Mapping[str, Method]) -> None:
        super().__init__()
        self.methods = nn.ModuleDict({name.replace(".", ":"): method for name, method in methods.items()})
        self.ce_weight = max(method.ce_weight for method in methods.values())
        self.beside_ce = any(method.beside_ce for method in methods.values())

    @classmethod
    def build(
        cls, config: Mapping[str, tuple[type[Method], Any]], student: View, teacher: View, labels_N: Tensor | None
    ) -> Self:
        """Make all of them; ``config`` has each one's class and settings by its name."""
        return cls({name: kind.build(own, student, teacher, labels_N) for name, (kind, own) in config.items()})

    def forward(self, student: View, teacher: View, batch: Batch) -> dict[str, Tensor]:
        terms = [method(student, teacher, batch) for method in self.methods.values() if method.beside_ce]
        parts = {name: value for own in terms for name, value in own.items()}
        losses = [own["loss"] for own in terms]
        return parts | {"loss": sum(losses[1:], losses[0])}
