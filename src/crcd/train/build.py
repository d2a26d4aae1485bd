"""Making networks and learners ready to train."""

import json
import math
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from crcd.data.dataset import Images
from crcd.errors import CrcdError
from crcd.methods import build_method, uses_maps, uses_preactivations
from crcd.models import (
    ImageClassifier,
    ImageFormat,
    Viewer,
    create_model,
    fill_weights,
    load_weights,
    pretrained_model,
    read_metadata,
    read_weights,
    stage_names,
)
from crcd.models.heads import NAMED_BY
from crcd.train.config import DistillConfig
from crcd.train.learner import Learner
from crcd.train.material import Material
from crcd.train.randomness import RandomStream
from crcd.train.teacher import Teacher


def build_model(
    name: str, material: Material, images: ImageFormat | None = None, classifier: str | None = None
) -> nn.Module:
    """A new network for the classes of the data.

    Args:
        name: of the network.
        material: the data.
        images: those that it takes; None for the data's.
        classifier: layer that makes its logits; None to find it.

    Raises:
        CrcdError: no such network, or it does not take images of this size or give logits of these classes, or its
            classifier can't be told.
    """
    images = images or material.format
    model = create_model(name, material.data.num_classes, images.channels)
    check_network(model, name, images, material.data.num_classes, classifier)
    return model.train()


def check_network(model: nn.Module, name: str, images: ImageFormat, num_classes: int, classifier: str | None) -> None:
    """Raises ``CrcdError`` unless a network takes such images, gives logits of the classes, and can be read.

    It is left in eval mode.
    """
    example = _example(images)
    try:
        with torch.no_grad():
            logits = model.eval()(example)
    except (RuntimeError, AssertionError, ValueError) as error:
        size = f"{images.size}x{images.size}"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CrcdError(
            f"model '{name}' does not take images of {size} ({reason}): set another --image-size"
        ) from error
    if not isinstance(logits, Tensor) or logits.shape != (2, num_classes):
        found = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise CrcdError(
            f"model '{name}' gives {found} for two images: it must give [2, {num_classes}], logits of the data"
        )
    if isinstance(model, ImageClassifier):
        return
    with torch.no_grad():
        view = Viewer(model, classifier=classifier).eval()(example)
    if classifier is None and not torch.allclose(view.logits, logits, rtol=1e-3, atol=1e-3 * float(logits.abs().max())):
        raise CrcdError(
            f"model '{name}': its classifier does not make its logits of what is before it, so neither can be read; "
            f"name the layer that makes them ({NAMED_BY})"
        )
    if view.logits.shape != logits.shape:
        raise CrcdError(
            f"model '{name}': layer '{classifier}' gives {list(view.logits.shape)}, not logits {list(logits.shape)}: "
            "name another layer"
        )


def own_copy(module: nn.Module, name: str) -> nn.Module:
    """A copy, on the CPU, of a network that was given as a module on any device.

    Raises:
        CrcdError: it has no weights.
    """
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        raise CrcdError(f"model '{name}' is on the meta device, without weights: give it with weights, on a real one")
    return deepcopy(module).cpu()


def initialise(model: nn.Module, name: str, weights: Path | None, *, pretrained: bool) -> nn.Module:
    """The network, filled with a file's or its library's weights if it shall begin with these.

    A head for another number of classes is not taken: it stays as it was drawn, as these weights are trained on.

    Raises:
        CrcdError: they can't be had, or don't fit.
    """
    if weights is not None:
        check_saved_model(name, weights)
        fill_weights(model, read_weights(weights), f"weights {weights}", any_classes=True)
    elif pretrained:
        state = pretrained_model(name).state_dict()
        fill_weights(model, state, f"pretrained weights of {name}", any_classes=True)
    return model


def load_model(name: str, weights: Path, material: Material) -> nn.Module:
    """A network with weights from a file, for images of the data's size.

    Raises:
        CrcdError: the file was saved for another network or other classes, or does not fit.
    """
    check_saved_model(name, weights)
    model = build_model(name, material)
    load_weights(model, weights)
    return model


def check_saved_model(name: str, weights: Path) -> None:
    """Raises ``CrcdError`` if the file names another network that its weights are of."""
    if weights.suffix == ".safetensors":
        saved = read_metadata(weights).get("model", name)
        if saved != name:
            raise CrcdError(f"weights {weights}: they are of a {saved}, not of a {name}; name that network")


def metadata(name: str, material: Material, images: ImageFormat | None = None) -> dict[str, str]:
    """What the weights of a network carry along, enough to build it and to feed it images as in its training.

    Args:
        name: of the network.
        material: the data.
        images: those that the network takes; None for the data's.
    """
    images = images or material.format
    return {
        "model": name,
        "data": material.options.data,
        "num_classes": str(material.data.num_classes),
        "class_names": json.dumps(material.data.class_names),
        "in_channels": str(images.channels),
        "image_size": str(images.size),
        "mean": " ".join(map(str, images.mean)),
        "std": " ".join(map(str, images.std)),
        "interpolation": images.interpolation,
    }


def _example(images: ImageFormat) -> Tensor:
    shape = (2, images.channels, images.size, images.size)
    return torch.linspace(-1, 1, math.prod(shape)).view(shape)


def build_learners(
    config: DistillConfig, material: Material, images: Images, teacher: Teacher, student: nn.Module | None = None
) -> list[Learner]:
    """One learner a method, all from the same initial student.

    Args:
        config: settings of the run.
        material: the data.
        images: those the students learn from.
        teacher: the trained teacher; methods read its shapes.
        student: a network of which every learner gets a copy; None for the one that the settings name.
    """
    learners = []
    for name in config.methods:
        stream = RandomStream(config.seed, material.device)
        with stream.active():
            model = _student(config, material) if student is None else deepcopy(student)
            layer = config.student_classifier
            viewer = Viewer(model, stage_names(model) if uses_maps(name) else (), layer)
            reader = Viewer(model, viewer.maps, layer, preactivations=uses_preactivations(name)).eval()
            example = _example(material.format)
            with torch.no_grad():
                viewer.eval()(example)  # decides how the network is read
                views = reader(example), teacher.viewer(example.to(material.device))
            settings = config.method_settings(name)
            method = build_method(settings, *views, images.labels) if settings else None
        weight_C = material.class_weights(images)
        learners.append(Learner(name, viewer, method, config, stream, material.device, config, weight_C))
    return learners


def initial_student(config: DistillConfig, material: Material) -> nn.Module:
    """The student that the settings name as every learner of ``build_learners`` begins with it."""
    with RandomStream(config.seed, material.device).active():
        return _student(config, material)


def _student(config: DistillConfig, material: Material) -> nn.Module:
    model = build_model(config.student, material, classifier=config.student_classifier)
    return initialise(model, config.student, config.student_weights, pretrained=config.student_pretrained)
