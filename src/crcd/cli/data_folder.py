"""``--data FOLDER``: the data set that lies there."""

from collections.abc import Sequence
from pathlib import Path

from crcd.data import dataset_names
from crcd.data.hub import PREFIX
from crcd.data.recognise import recognise
from crcd.errors import CrcdError

FLAG = "--data"


def named(words: Sequence[str]) -> list[str]:
    """The words with ``--data FOLDER`` as the name of the data set in that folder, and ``--data-dir``.

    Raises:
        CrcdError: a path leads nowhere, or to a folder that holds no data set, or several.
    """
    found: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        given = word.removeprefix(f"{FLAG}=") if word.startswith(f"{FLAG}=") else word if before == FLAG else None
        if given is not None and "/" in given and not given.startswith(PREFIX) and not Path(given).exists():
            raise CrcdError(f"--data {given}: there is no such folder")
        if given is None or given in dataset_names() or not Path(given).is_dir():
            found.append(word)
            continue
        name, root = recognise(Path(given))
        found += [word.removesuffix(given) + name, "--data-dir", str(root)]
    return found
