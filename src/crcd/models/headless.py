"""A network without its last layer."""

from copy import copy

from torch import Tensor, nn


class Headless:
    """image -> what the last layer takes, for a network whose logits are that layer's output; without hooks.

    It is the network with an identity in place of the layer. Only the modules that hold the layer, from the network
    itself down, are copied; all others, and all parameters and buffers, are the network's own.

    Args:
        model: the network, which stays as it is.
        layer: name of its last layer.
    """

    def __init__(self, model: nn.Module, layer: str) -> None:
        *path, last = layer.split(".")
        self.network = _twin(model)
        self._pairs = [(self.network, model)]
        twin, own = self.network, model
        for name in path:
            own = own.get_submodule(name)
            twin._modules[name] = _twin(own)
            twin = twin.get_submodule(name)
            self._pairs.append((twin, own))
        twin._modules[last] = nn.Identity()

    def __call__(self, image: Tensor) -> Tensor:
        """Input of the layer, [B, D], in the train or eval mode of the network."""
        for twin, own in self._pairs:
            twin.training = own.training
        feature: Tensor = self.network(image)
        return feature


def _twin(module: nn.Module) -> nn.Module:
    """The same module with a table of its own of the modules that it holds."""
    twin = copy(module)
    twin.__dict__["_modules"] = dict(module._modules)
    return twin
