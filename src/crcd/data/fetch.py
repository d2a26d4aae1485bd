"""Getting a data set from where it is published."""

from pathlib import Path

from crcd.data.check import Report, check
from crcd.data.hub import PREFIX
from crcd.data.imagenet import unpack
from crcd.data.registry import OF_ONES_OWN, default_recipe, load_dataset
from crcd.data.tiny_imagenet import fetch_tiny_imagenet
from crcd.errors import CrcdError


def fetch(name: str, root: Path | None) -> Report:
    """Download a data set by its official loader unless it is there, and say what there is.

    ImageNet, which may be had only after signing up, is unpacked from its archives.

    Args:
        name: of a data set.
        root: where to put it, as for ``load_dataset``.

    Raises:
        CrcdError: there is no such data set, or it could not be had.
    """
    default_recipe(name)
    if name in OF_ONES_OWN:
        raise CrcdError(f"{name} stands for images of your own: there is nothing to fetch")
    if name != "digits" and not name.startswith(PREFIX):
        if root is None:
            raise CrcdError(f"data set {name} needs --data-dir, the folder to put it into")
        if name == "imagenet":
            unpack(root)
        elif name == "tiny-imagenet":
            fetch_tiny_imagenet(root)
        else:
            load_dataset(name, root, download=True)
    return check(name, root, read=False)
