"""What submodules take in and give out during a block of code."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def recorded(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, tuple[Any, Any]]]:
    """Record (first argument, output) of each layer's last call, by name; on leaving, no hook is left behind.

    Tensors are copied, so that a later in-place operation (an in-place ReLU after the layer) cannot change them.
    """
    calls: dict[str, tuple[Any, Any]] = {}

    def copy(value: Any) -> Any:
        return value.clone() if isinstance(value, Tensor) else value

    def hook_of(name: str) -> Any:
        def record(_: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            calls[name] = copy(arguments[0]) if arguments else None, copy(output)

        return record

    handles = [layer.register_forward_hook(hook_of(name)) for name, layer in layers.items()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
