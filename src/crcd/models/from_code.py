"""Networks that the user's own code makes, by the name ``package.module:factory``."""

import inspect
import sys
from importlib import import_module

from torch import nn

from crcd.errors import CrcdError


def create(name: str, num_classes: int, in_channels: int) -> nn.Module:
    """What the factory gives. The module is imported and the factory called: whatever they do is done.

    The module is found as Python finds any, and in the working directory. The factory is given ``num_classes``, and
    ``in_channels`` or ``in_chans``, if it has arguments of these names.

    Raises:
        CrcdError: there is no such module or function, or it gives no ``nn.Module``.
    """
    module_name, _, factory_name = name.partition(":")
    if "" not in sys.path and "." not in sys.path:
        sys.path.append("")
    try:
        factory = getattr(import_module(module_name), factory_name)
    except ImportError as error:
        raise CrcdError(
            f"model '{name}': {error}: give PACKAGE.MODULE:FACTORY of a module that is installed or in this folder"
        ) from error
    except (AttributeError, ValueError) as error:
        raise CrcdError(f"model '{name}': module {module_name} has no '{factory_name}'") from error
    known = {"num_classes": num_classes, "in_channels": in_channels, "in_chans": in_channels}
    accepted = inspect.signature(factory).parameters
    model = factory(**{argument: value for argument, value in known.items() if argument in accepted})
    if not isinstance(model, nn.Module):
        raise CrcdError(f"model '{name}' gives {type(model).__name__}: it must give a torch.nn.Module")
    return model
