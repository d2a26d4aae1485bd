"""Making networks and learners ready to train."""

import math
from pathlib import Path

import torch
from torch import nn

from crcd.data.dataset import Images
from crcd.errors import CrcdError
from crcd.methods import build_method, uses_maps, uses_preactivations
from crcd.models import Viewer, create_model, load_weights, read_metadata, stage_names
from crcd.train.config import DistillConfig
from crcd.train.learner import Learner
from crcd.train.material import Material
from crcd.train.randomness import RandomStream
from crcd.train.teacher import Teacher


def build_model(name: str, material: Material) -> nn.Module:
    """A new network for the classes, channels and size of the data.

    Raises:
        CrcdError: no such network, or it does not take images of this size.
    """
    model = create_model(name, material.data.num_classes, material.train.shape[0])
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(2, *material.train.shape))
    except (RuntimeError, AssertionError, ValueError) as error:
        size = "x".join(map(str, material.train.shape[1:]))
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CrcdError(
            f"model '{name}' does not take images of {size} ({reason}): set another --image-size"
        ) from error
    return model.train()


def load_model(name: str, weights: Path, material: Material) -> nn.Module:
    """A network with weights from a file.

    Raises:
        CrcdError: the file was saved for another network or other classes, or does not fit.
    """
    if weights.suffix == ".safetensors":
        saved = read_metadata(weights).get("model", name)
        if saved != name:
            raise CrcdError(f"weights {weights}: they are of a {saved}, not of a {name}; name that network")
    model = build_model(name, material)
    load_weights(model, weights)
    return model


def metadata(name: str, material: Material) -> dict[str, str]:
    """What the weights of a network carry along, enough to build it and to feed it images as in its training."""
    channels, height, _ = material.train.shape
    return {
        "model": name,
        "data": material.options.data,
        "num_classes": str(material.data.num_classes),
        "in_channels": str(channels),
        "image_size": str(height),
        "mean": " ".join(map(str, material.data.mean)),
        "std": " ".join(map(str, material.data.std)),
    }


def build_learners(config: DistillConfig, material: Material, images: Images, teacher: Teacher) -> list[Learner]:
    """One learner a method, all from the same initial student.

    Args:
        config: settings of the run.
        material: the data.
        images: those the students learn from.
        teacher: the trained teacher; methods read its shapes.
    """
    learners = []
    for name in config.methods:
        stream = RandomStream(config.seed, material.device)
        with stream.active():
            model = build_model(config.student, material)
            viewer = Viewer(model, stage_names(model) if uses_maps(name) else ())
            reader = Viewer(model, viewer.maps, preactivations=uses_preactivations(name)).eval()
            example = torch.linspace(-1, 1, 2 * math.prod(images.shape)).view(2, *images.shape)
            with torch.no_grad():
                views = reader(example), teacher.viewer(example.to(material.device))
            settings = config.method_settings(name)
            method = build_method(settings, *views, images.labels) if settings else None
        weight_C = material.class_weights(images)
        learners.append(Learner(name, viewer, method, config, stream, material.device, config, weight_C))
    return learners
