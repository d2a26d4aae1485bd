"""crcd predict."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from torchvision.datasets.folder import is_image_file

from crcd.cli.progress import make_console
from crcd.cli.table import print_whole
from crcd.data.decode import CorruptImageError
from crcd.errors import CrcdError
from crcd.export.classifier import Answer, Classifier, load_classifier
from crcd.train.options import require


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Classify pictures: crcd predict MODEL IMAGE [IMAGE ...]. The exit status is 1 if one can't be read."""

    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder or file of crcd export, in whichever form, or the folder of an ended run."""
    images: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="IMAGE [IMAGE ...]", help_behavior_hint="(one or more)"),
    ]
    """Pictures, or folders of pictures."""
    top: int = 5
    """How many classes of each picture are shown, the likeliest first."""
    json: bool = False
    """Print one JSON list, for other programs to read."""
    learner: str | None = None
    """Which network of a run: a learner's name, or teacher; None takes the only one, or the only one of crcd."""
    model: str | None = None
    """Its network, named as for crcd train, where that is code of your own; None takes what the weights name."""
    trust: bool = False
    """Open a file .pt2, which can run code that is in it: give this if you made it or trust those who did."""

    def __post_init__(self) -> None:
        require(self.top >= 1, "top", self.top, "give 1 or more")
        if not self.images:
            raise CrcdError("crcd predict needs pictures, or a folder of them: crcd predict MODEL IMAGE [IMAGE ...]")


def run(words: Sequence[str]) -> None:
    """Print the classes of each picture, then say which could not be read.

    Raises:
        SystemExit: with status 1, if there are such.
    """
    config = tyro.cli(PredictConfig, args=list(words), prog="crcd predict")
    pictures = [picture for path in config.images for picture in _pictures(path)]
    classifier = load_classifier(config.path, learner=config.learner, model=config.model, trust=config.trust)
    answers = {picture: _answers(classifier, picture, config.top) for picture in dict.fromkeys(pictures)}
    if config.json:
        print(json.dumps([_plain(picture, own) for picture, own in answers.items()], indent=2))
    else:
        _show(answers, make_console())
    unread = [own for own in answers.values() if isinstance(own, CorruptImageError)]
    for error in unread:
        print(f"crcd: error: {error}", file=sys.stderr)
    if unread:
        sys.exit(1)


Found = list[Answer] | CorruptImageError


def _pictures(path: Path) -> list[Path]:
    """The picture, or those of a folder at any depth."""
    if not path.is_dir():
        return [path]
    found = sorted(inner for inner in path.rglob("*") if is_image_file(inner.name))
    if not found:
        raise CrcdError(f"{path}: there is no picture in this folder")
    return found


def _answers(classifier: Classifier, picture: Path, top: int) -> Found:
    if not picture.is_file():
        return CorruptImageError(f"{picture}: there is no such file")
    try:
        return classifier.classify(picture, top)
    except CorruptImageError as error:
        return CorruptImageError(f"{picture} is not a readable image ({error.__cause__})")


def _plain(picture: Path, found: Found) -> dict[str, Any]:
    if isinstance(found, CorruptImageError):
        return {"image": str(picture), "error": str(found)}
    return {"image": str(picture), "classes": [answer._asdict() for answer in found]}


def _show(answers: dict[Path, Found], console: Console) -> None:
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("image", no_wrap=True)
    table.add_column("class", overflow="fold")
    table.add_column("%", justify="right", no_wrap=True)
    for picture, found in answers.items():
        if isinstance(found, CorruptImageError):
            continue
        for place, answer in enumerate(found):
            name = str(picture) if place == 0 else ""
            table.add_row(name, answer.name, f"{100 * answer.probability:.2f}", end_section=answer is found[-1])
    if table.row_count:
        print_whole(table, console)
