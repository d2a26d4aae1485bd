"""The networks of a finished run."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crcd.config_file import read_yaml
from crcd.errors import CrcdError
from crcd.models import ImageFormat, Viewer, create_model, load_weights, read_metadata, refuse_code
from crcd.models.metadata import read_class_count, read_format
from crcd.models.registry import TRUST
from crcd.train.run_folder import RunFolder

TEXTS = ("mean", "std", "in_channels", "image_size", "num_classes", "data", "model")
"""What weights must say of their network."""


@dataclass(frozen=True)
class Pretrained:
    """A trained network.

    Attributes:
        run: folder of its run.
        name: what it is called there: ``teacher`` or a learner's name.
        architecture: name of the model.
        data: name of the data set it was trained on.
        format: its images.
        viewer: reads its feature.
    """

    run: Path
    name: str
    architecture: str
    data: str
    format: ImageFormat
    viewer: Viewer


def read_run(path: Path, *, run_code: bool = False) -> list[Pretrained]:
    """All networks whose weights lie in the folder of a run: the teacher, then the learners in the run's order.

    Args:
        path: the folder.
        run_code: whether a network of the user's own code may be built, which runs that code.

    Raises:
        CrcdError: there is no such folder, no weights in it, or not such as ``crcd train`` and ``crcd distill`` write,
            or a network is code and must not be run.
    """
    if not path.is_dir():
        raise CrcdError(f"run {path}: there is no such folder")
    run = RunFolder(path)
    settings: dict[str, Any] = read_yaml(run.config) if run.config.is_file() else {}
    names = {run.weights(name): name for name in ("teacher", *settings.get("methods", ()))}
    places = {file: place for place, file in enumerate(names)}
    files = sorted(path.glob("*.safetensors"), key=lambda file: (places.get(file, len(places)), file.stem))
    if files and settings and not run.summary.is_file():
        raise CrcdError(f"run {path}: it has not ended (no summary.json); go on with it first, or name another folder")
    if not files:
        raise CrcdError(f"run {path}: it holds no weights (*.safetensors); name the folder of a run that has ended")
    models = [read_metadata(file).get("model") if run_code else None for file in files]
    networks = [read_network(file, model) for file, model in zip(files, models, strict=True)]
    return [replace(network, name=names.get(file, file.stem)) for file, network in zip(files, networks, strict=True)]


def read_network(file: Path, model: str | None = None) -> Pretrained:
    """The network whose weights lie in a file of a run.

    Args:
        file: NAME.safetensors in the folder of a run.
        model: its name as ``create_model`` takes it; None takes what the weights name, but not to run code.

    Raises:
        CrcdError: the weights are not such as ``crcd train`` and ``crcd distill`` write, or their network is code.
    """
    known, source = read_metadata(file), f"weights {file}"
    if model is None:
        refuse_code(known.get("model", ""), source, TRUST)
    name = model or known.get("model")
    images, classes = read_format(known, source), read_class_count(known, source)
    if name is None or images is None or classes is None or "data" not in known:
        lacking = next(text for text in TEXTS if text not in known)
        advice = "train the network with this version of crcd train or crcd distill"
        raise CrcdError(f"{source}: their metadata has no '{lacking}'; {advice}")
    network = create_model(name, classes, images.channels)
    load_weights(network, file)
    return Pretrained(file.parent, file.stem, name, known["data"], images, Viewer(network))
