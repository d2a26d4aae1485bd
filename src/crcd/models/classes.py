"""Classes of a network's weights, and those of other images, matched by their names."""

import re
from collections import defaultdict
from collections.abc import Sequence

from torch import Tensor

from crcd.errors import CrcdError
from crcd.models.provider import Aliases
from crcd.models.registry import create_model

NUMBERED = re.compile(r"(?:.* )?\((n\d{8})\)")
"""A class name with its number in WordNet, as data sets give it where two classes have one name."""
NAMED_IN_ERRORS = 5


def match_classes(own: Aliases, names: Sequence[str]) -> list[int]:
    """Number among a network's own classes of each class of the data.

    A name matches the own class that has it letter for letter; where there is none, the one that has it without regard
    to capitals, underscores, hyphens and space. One that two own classes have matches neither.

    Args:
        own: all names of each class of the network.
        names: of the classes of the data.

    Raises:
        CrcdError: a class of the data is not among the network's own, or two are one of them.
    """
    exact: dict[str, set[int]] = defaultdict(set)
    plain: dict[str, set[int]] = defaultdict(set)
    for number, aliases in enumerate(own):
        for alias in aliases:
            exact[alias].add(number)
            plain[_plain(alias)].add(number)
    found = [exact.get(name) or plain.get(_plain(name), set()) for name in names]
    missing = [name for name, matches in zip(names, found, strict=True) if len(matches) != 1]
    matched = [number for matches in found for number in matches]
    if not missing and len(set(matched)) == len(names):
        return matched
    few = ", ".join((missing or names)[:NAMED_IN_ERRORS]) + (", ..." if len(missing) > NAMED_IN_ERRORS else "")
    problem = f"{len(missing)} of the data's {len(names)} are not among them" if missing else "several are one of them"
    raise CrcdError(f"its {len(own)} classes are named, and {problem} ({few})")


def _plain(name: str) -> str:
    if numbered := NUMBERED.fullmatch(name):
        return numbered[1]
    return " ".join(re.sub(r"[_\-\s]+", " ", name).lower().split())


def head_tensors(name: str, num_classes: int, in_channels: int) -> set[str]:
    """Names of a network's tensors that have a row for each class, seen by what another class changes."""
    shapes = [
        {key: tensor.shape for key, tensor in create_model(name, count, in_channels).state_dict().items()}
        for count in (num_classes, num_classes + 1)
    ]
    return {key for key, shape in shapes[0].items() if shapes[1].get(key) != shape}


def select_classes(state: dict[str, Tensor], heads: set[str], numbers: Sequence[int]) -> dict[str, Tensor]:
    """A state dict for some of its classes, in another order; softmax over their logits is p(c | one of them)."""
    return {key: tensor[list(numbers)] if key in heads else tensor for key, tensor in state.items()}
