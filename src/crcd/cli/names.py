"""crcd list."""

from collections.abc import Sequence

from crcd.data import dataset_names
from crcd.errors import CrcdError, unknown
from crcd.methods import method_names
from crcd.models import model_names
from crcd.recipes import recipe_names

KINDS = {"models": model_names, "methods": method_names, "data": dataset_names, "recipes": recipe_names}


def run(words: Sequence[str]) -> None:
    """Print the names of one kind, one a line, or of all kinds."""
    if list(words) in (["-h"], ["--help"]):
        print(
            f"usage: crcd list [{'|'.join(KINDS)}]\n\nWithout a word: all of them. Any network of timm, "
            "torchvision or transformers is timm/NAME, torchvision/NAME or hf/NAME, one of your own code's is "
            "PACKAGE.MODULE:FACTORY, a method of it PACKAGE.MODULE:CLASS; any image data set of the Hugging Face hub "
            "hf/NAME."
        )
    elif not words:
        print("\n".join(f"{kind}: {' '.join(names())}" for kind, names in KINDS.items()))
    elif len(words) > 1:
        raise CrcdError(f"crcd list takes one of {', '.join(KINDS)}, not {' '.join(words)}")
    elif words[0] not in KINDS:
        raise unknown("list", words[0], KINDS)
    else:
        print("\n".join(KINDS[words[0]]()))
