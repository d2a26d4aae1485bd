"""A classifier that was handed on, ready for pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from crcd.errors import CrcdError
from crcd.export.description import Description
from crcd.export.formats import MODULES, FormatName, Logits, file_name, format_of
from crcd.export.picture import read_picture
from crcd.export.source import choose_learner, read_summary
from crcd.train.run_folder import RunFolder


class Answer(NamedTuple):
    """A class, and how likely a picture is of it, p = softmax(logits)."""

    name: str
    probability: float


@dataclass(frozen=True)
class Classifier:
    """Pictures to classes.

    Attributes:
        description: what it is and how it is fed.
        logits: normalised images to logits.
    """

    description: Description
    logits: Logits

    def classify(self, picture: Path, top: int = 5) -> list[Answer]:
        """The likeliest classes of a picture, the likeliest first.

        Raises:
            CorruptImageError: the file can't be decoded.
            CrcdError: there is not one class for each logit.
        """
        image_CHW = read_picture(picture, self.description.images)
        probability_C = self.logits(image_CHW[None])[0].softmax(dim=0)
        if len(probability_C) != len(self.description.class_names):
            names = len(self.description.class_names)
            raise CrcdError(
                f"the network gives {len(probability_C)} logits, but {names} classes are named: export anew"
            )
        values, numbers = probability_C.topk(min(top, len(probability_C)))
        return [
            Answer(self.description.class_names[number], value)
            for number, value in zip(numbers.tolist(), values.tolist(), strict=True)
        ]


def load_classifier(
    path: Path, *, learner: str | None = None, model: str | None = None, trust: bool = False
) -> Classifier:
    """A classifier from a folder or file of ``crcd export``, or from the folder of a run.

    Args:
        path: where it lies. Of several files in an export, weights are taken before programs.
        learner: which one of a run; None for the only one, or the only one that learned by crcd.
        model: name of the network where weights name code, which is then run.
        trust: open a file .pt2, which can run code that is in it.

    Raises:
        CrcdError: there is none, it does not say enough of itself, or it could run code and may not.
    """
    file, name = _find(path, learner)
    if name == "pt2" and not trust:
        raise CrcdError(
            f"{file}: opening it can run code that is in it: give --trust if you made it or trust those who did"
        )
    module = format_of(name)
    description = Description.read(module.strings(file), str(file), model)
    return Classifier(description, module.read(file, description))


def _find(path: Path, learner: str | None) -> tuple[Path, FormatName]:
    """The file that is meant, and its form."""
    run = RunFolder(path)
    if run.config.is_file():
        return run.weights(choose_learner(run, read_summary(run), learner)), "safetensors"
    if learner is not None:
        raise CrcdError(f"--learner is {learner}, but {path} is no folder of a run: leave it out")
    for name in MODULES:
        if path.is_file() and path.suffix == f".{name}":
            return path, name
        if (path / file_name(name)).is_file():
            return path / file_name(name), name
    if not path.exists():
        raise CrcdError(f"{path}: there is no such file or folder; name an export or the folder of a run")
    kinds = ", ".join(f".{name}" for name in MODULES)
    raise CrcdError(f"{path} is neither an export ({kinds}) nor the folder of a run")
