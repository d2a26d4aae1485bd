"""Networks that the user's own code makes, by the name ``package.module:factory``."""

import inspect

from torch import nn

from crcd.errors import CrcdError
from crcd.own_code import from_own_code, own_failure


def create(name: str, num_classes: int, in_channels: int) -> nn.Module:
    """What the factory gives. The module is imported and the factory called: whatever they do is done.

    The factory is given ``num_classes``, and
    ``in_channels`` or ``in_chans``, if it has arguments of these names.

    Raises:
        CrcdError: there is no such module or function, its code fails, or it gives no ``nn.Module``.
    """
    factory = from_own_code("model", name)
    known = {"num_classes": num_classes, "in_channels": in_channels, "in_chans": in_channels}
    accepted = inspect.signature(factory).parameters
    try:
        model = factory(**{argument: value for argument, value in known.items() if argument in accepted})
    except Exception as error:
        raise own_failure("model", name, error) from error
    if not isinstance(model, nn.Module):
        raise CrcdError(f"model '{name}' gives {type(model).__name__}: it must give a torch.nn.Module")
    return model
