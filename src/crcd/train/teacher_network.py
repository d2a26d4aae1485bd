"""A trained teacher as it was given: its weights, its classes and the images that it takes."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from crcd.errors import CrcdError
from crcd.models import ImageFormat, fill_weights, library_of, pretrained_model, read_metadata, read_weights
from crcd.models.classes import head_tensors, match_classes, select_classes
from crcd.models.metadata import read_class_names, read_format
from crcd.models.provider import Aliases
from crcd.models.weights import classes_of_weights
from crcd.train.build import build_model, check_saved_model, own_copy
from crcd.train.config import DistillConfig
from crcd.train.material import Material


@dataclass(frozen=True)
class TeacherNetwork:
    """A teacher for the classes of the data.

    Attributes:
        model: the network.
        format: images that it takes.
    """

    model: nn.Module
    format: ImageFormat


@dataclass(frozen=True)
class Given:
    """Weights and what is known of them.

    Attributes:
        source: what messages call them.
        state: the weights by name.
        classes: all names of each class; None if they are not named.
        format: images that they were trained on; None if nothing says.
        guessed: whether the classes are those of the library's weights, of which these need not be.
    """

    source: str
    state: dict[str, Tensor]
    classes: Aliases | None
    format: ImageFormat | None
    guessed: bool = False


def given_teacher(config: DistillConfig, material: Material, kept: Path | None = None) -> TeacherNetwork:
    """The teacher with its weights, or untrained where it has none yet.

    A file that this package wrote names classes and images; of any other, the library's are taken, if it is of a
    library, the classes only if there are as many. No weights get a new head: where the classes are named, the rows of
    the data's classes are taken in the data's order; where they are not, there must be as many of them.

    Args:
        config: names the teacher.
        material: the data.
        kept: the run's own file of the teacher, which goes before all others if it is there.

    Raises:
        CrcdError: the weights can't be had or don't fit, or are for other classes than the data's.
    """
    given = _given(config, kept)
    if given is None:
        model = build_model(config.teacher, material, classifier=config.teacher_classifier)
        return TeacherNetwork(model, material.format)
    images = given.format if given.format is not None and config.teacher_images == "own" else material.format
    model = build_model(config.teacher, material, images, config.teacher_classifier)
    state = _for_classes(config.teacher, model, given, material, images.channels)
    fill_weights(model, state, given.source)
    return TeacherNetwork(model, images)


def module_teacher(
    module: nn.Module, name: str, images: ImageFormat | None, material: Material, kept: Path
) -> TeacherNetwork:
    """A copy of a teacher that was given as a module, with the run's own weights of it if they are there."""
    model = own_copy(module, name)
    if kept.is_file():
        fill_weights(model, read_weights(kept), f"weights {kept}")
    return TeacherNetwork(model, images or material.format)


def _given(config: DistillConfig, kept: Path | None) -> Given | None:
    if kept is not None and kept.is_file():
        return _of_file(config.teacher, kept)
    if config.teacher_weights is not None:
        return _of_file(config.teacher, config.teacher_weights)
    if config.teacher_pretrained:
        state = pretrained_model(config.teacher).state_dict()
        return Given(f"pretrained weights of {config.teacher}", state, *_of_library(config.teacher))
    return None


def _of_file(name: str, path: Path) -> Given:
    check_saved_model(name, path)
    known = read_metadata(path) if path.suffix == ".safetensors" else {}
    state, source = read_weights(path), f"weights {path}"
    images = read_format(known, source)
    if (names := read_class_names(known, source)) is not None:
        return Given(source, state, [frozenset({own}) for own in names], images)
    classes, usual = (None, None) if "num_classes" in known else _of_library(name)
    return Given(source, state, classes, images or usual, guessed=True)


def _of_library(name: str) -> tuple[Aliases | None, ImageFormat | None]:
    if (found := library_of(name)) is None:
        return None, None
    library, inner = found
    return library.class_names(inner), library.image_format(inner)


def _for_classes(name: str, model: nn.Module, given: Given, material: Material, channels: int) -> dict[str, Tensor]:
    """The weights for the data's classes."""
    names = material.data.class_names
    count = classes_of_weights(model, given.state, len(names))
    advice = (
        f"train the network on the data's classes, crcd train --model {name} with --weights or --pretrained, and give "
        "what comes of it instead"
    )
    if given.classes is None or len(given.classes) != count or (given.guessed and count == len(names)):
        if count == len(names):
            return given.state
        raise CrcdError(
            f"{given.source}: they are for {count} classes, which nothing names, the data has {len(names)}: {advice}"
        )
    try:
        numbers = match_classes(given.classes, names)
    except CrcdError as error:
        raise CrcdError(f"{given.source}: {error}: {advice}") from error
    if numbers == list(range(count)):
        return given.state
    return select_classes(given.state, head_tensors(name, len(names), channels), numbers)
