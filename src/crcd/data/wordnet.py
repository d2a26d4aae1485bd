"""Names of classes that are numbered by WordNet."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

WNID = re.compile(r"n\d{8}")
"""A noun's number in WordNet 3.0."""


def are_wnids(names: Sequence[str]) -> bool:
    """Whether all of them are numbers of nouns."""
    return all(WNID.fullmatch(name) for name in names)


def class_names(wnids: Sequence[str], synonyms: Mapping[str, str]) -> tuple[str, ...]:
    """The first synonym of each class, with its number where that alone would name two classes.

    Args:
        wnids: numbers of the classes.
        synonyms: words for each number, separated by commas; a number without words stands for itself.
    """
    first = [synonyms.get(wnid, wnid).split(",")[0].strip() for wnid in wnids]
    times = Counter(first)
    return tuple(name if times[name] == 1 else f"{name} ({wnid})" for name, wnid in zip(first, wnids, strict=True))
