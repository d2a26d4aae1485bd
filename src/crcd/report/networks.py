"""The networks of a report and what they make of the test images."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from crcd.data import Batch, Images, Loader
from crcd.errors import CrcdError
from crcd.evaluate.features import Features, extract
from crcd.models import ImageFormat, Viewer, adapt_between, refuse_code
from crcd.models.registry import TRUST
from crcd.models.weights import weights_digest
from crcd.relation.gradient import gradient_element
from crcd.relation.view import View
from crcd.report.subject import Subject
from crcd.train.build import initial_student, load_model
from crcd.train.config import DistillConfig
from crcd.train.device import find_device
from crcd.train.material import Material
from crcd.train.options import ComputeOptions
from crcd.train.teacher import Teacher
from crcd.train.teacher_network import given_teacher

TEACHER, BEFORE = "teacher", "student before"
"""What a report calls the two networks that are no learners; the second is every student with its initial weights."""
MOST_IMAGES = 10_000
"""Test images that are looked at; of more of them, evenly chosen ones."""

Progress = Callable[[Loader, str], Iterable[Batch]]
"""Gives the batches of a loader, and shows under a title how far they are."""


class ImagesError(CrcdError):
    """There are no images of the run where the user says that they are."""


@dataclass(frozen=True)
class Place:
    """Where networks and images are found.

    Attributes:
        device: name of the device, as settings have it.
        data_dir: where the data set lies; None for the place that the run's settings name.
        run_code: whether networks and methods of the user's own code may be built, which runs that code.
    """

    device: str = "auto"
    data_dir: Path | None = None
    run_code: bool = False


@dataclass(frozen=True)
class Reading:
    """One network and what it makes of N images.

    Attributes:
        viewer: the network.
        feature_ND: its features, on the CPU.
        logits_NC: its logits.
        gradient_ND: its feature gradients of the true classes.
    """

    viewer: Viewer
    feature_ND: Tensor
    logits_NC: Tensor
    gradient_ND: Tensor

    @property
    def answers(self) -> Tensor:
        """The class that it names for each image, [N]."""
        return self.logits_NC.argmax(dim=1)


@dataclass(frozen=True)
class Readings:
    """What all networks make of the same images.

    Attributes:
        material: the data.
        images: those of it that were read.
        teacher_format: images that the teacher takes; students take the data's.
        networks: the readings, by name: ``TEACHER``, ``BEFORE`` (unless it can't be had), then the learners.
    """

    material: Material
    images: Images
    teacher_format: ImageFormat
    networks: dict[str, Reading]

    @property
    def labels(self) -> Tensor:
        """True classes, [N]."""
        return self.images.labels.cpu()

    def right(self, name: str) -> Tensor:
        """Whether a network has each image right, bool, [N]."""
        return self.networks[name].answers == self.labels


def read_networks(subject: Subject, place: Place, progress: Progress) -> Readings:
    """Load data and networks of the subject and read the test images.

    Raises:
        ImagesError: the data are not where the user says.
        CrcdError: the data are not where they were, weights are missing or others, or code would be run.
    """
    config = _here(subject.first.config, place)
    for name in () if place.run_code else (config.teacher, config.student):
        refuse_code(name, f"run {subject.first.folder.path}: its settings", TRUST)
    device = find_device(place.device)
    try:
        material = Material.load(config, config.seed, device)
    except CrcdError as error:
        if place.data_dir is not None:
            raise ImagesError(f"--data-dir is {place.data_dir}: {error}") from error
        raise CrcdError(f"{error}; if the images were moved, name their place by --data-dir") from error
    images = material.scored
    if len(images) > MOST_IMAGES:
        images = images.take(torch.linspace(0, len(images) - 1, MOST_IMAGES).long())
    network = given_teacher(config, material, subject.first.folder.weights("teacher"))
    if weights_digest(network.model.state_dict()) != subject.first.teacher["weights"]:
        raise CrcdError(f"{subject.first.folder.path}: the weights of its teacher are gone, or others")
    adapt = adapt_between(material.format, network.format)
    viewers = {TEACHER: Teacher(network.model, device, ComputeOptions(), config.teacher_classifier, adapt).viewer}
    for name, model in _students(subject, config, material).items():
        viewers[name] = Viewer(model, (), config.student_classifier).to(device)
    title = f"reading {len(images)} images by {len(viewers)} networks"
    found = extract(list(viewers.values()), progress(material.in_order(images), title))
    image = next(iter(material.in_order(images.take(torch.arange(1))).epoch(0))).image
    labels_N = images.labels.to(device)
    networks = {
        name: _reading(viewer, read, image, labels_N)
        for (name, viewer), read in zip(viewers.items(), found, strict=True)
    }
    return Readings(material, images, network.format, networks)


def _students(subject: Subject, config: DistillConfig, material: Material) -> dict[str, nn.Module]:
    """The student before its training, then the learners."""
    students = {}
    with suppress(CrcdError):  # the weights that it began with may be gone; no other figure needs it
        students[BEFORE] = initial_student(config, material)
    for name in subject.learners:
        students[name] = load_model(config.student, subject.run(name).folder.weights(name), material)
    return students


def _reading(viewer: Viewer, read: Features, image: Tensor, labels_N: Tensor) -> Reading:
    with torch.no_grad():
        classifier = viewer.eval()(image).classifier
    view = View(read.logits_NC.clone(), read.feature_ND.clone(), classifier)
    with torch.no_grad():
        gradient_ND = gradient_element(view, labels_N)
    return Reading(viewer, view.feature.cpu(), view.logits.cpu(), gradient_ND.cpu())


def _here(config: DistillConfig, place: Place) -> DistillConfig:
    data_dir = config.data_dir if place.data_dir is None else place.data_dir
    return replace(config, data_dir=data_dir, device=place.device, download=False)
