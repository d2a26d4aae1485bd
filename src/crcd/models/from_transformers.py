"""Image classifiers of Hugging Face's transformers, by the name of a folder or of a model of the hub."""

from types import ModuleType
from typing import Any

from torch import Tensor, nn

from crcd.errors import CrcdError
from crcd.models.image_format import ImageFormat, Interpolation
from crcd.models.provider import Aliases, check_colour

RESAMPLING: dict[int, Interpolation] = {0: "nearest", 3: "bicubic"}
"""Numbers of Pillow's filters; all others are taken as bilinear."""


def names() -> list[str]:
    """They cannot be listed."""
    return []


def create(name: str, num_classes: int, in_channels: int) -> nn.Module:
    """See ``Library``: the architecture of the configuration, without its weights."""
    config = _config(name)
    config.num_labels = num_classes
    if hasattr(config, "num_channels"):
        config.num_channels = in_channels
    else:
        check_colour(f"hf/{name}", in_channels)
    try:
        model = _transformers().AutoModelForImageClassification.from_config(config)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise CrcdError(f"model 'hf/{name}' is no image classifier of transformers ({reason})") from error
    return _giving_logits(model)


def pretrained(name: str) -> nn.Module:
    """See ``Library``."""
    return _giving_logits(_transformers().AutoModelForImageClassification.from_pretrained(name))


def image_format(name: str) -> ImageFormat | None:
    """See ``Library``: what the configuration of the image processor says; None where there is none."""
    try:
        found, _ = _transformers().image_processing_utils.BaseImageProcessor.get_image_processor_dict(name)
        mean, std = tuple(found["image_mean"]), tuple(found["image_std"])
        size = _side(found.get("crop_size") or found["size"])
    except (OSError, KeyError, TypeError):
        return None
    return ImageFormat(len(mean), size, mean, std, RESAMPLING.get(found.get("resample", 2), "bilinear"))


def class_names(name: str) -> Aliases | None:
    """See ``Library``; names that a configuration makes up (LABEL_0) are none."""
    labels: dict[int, str] = _config(name).id2label
    if all(label == f"LABEL_{number}" for number, label in labels.items()):
        return None
    return [frozenset(map(str.strip, labels[number].split(","))) for number in range(len(labels))]


def _transformers() -> ModuleType:
    try:
        import transformers
    except ImportError as error:
        raise CrcdError("hf/NAME needs the package transformers: pip install crcd[transformers]") from error
    return transformers


def _config(name: str) -> Any:
    transformers = _transformers()
    try:
        return transformers.AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CrcdError(
            f"model 'hf/{name}': its configuration could not be had ({reason}): give hf/FOLDER with a config.json, or "
            "the name of a model of the hub"
        ) from error


def _giving_logits(model: nn.Module) -> nn.Module:
    """The same network, whose call gives the logits alone."""
    model.register_forward_hook(_logits)
    return model


def _logits(_: nn.Module, arguments: tuple[Any, ...], output: Any) -> Tensor:
    logits: Tensor = output.logits
    return logits


def _side(size: Any) -> int:
    if isinstance(size, dict):
        size = size.get("height") or size["shortest_edge"]
    return int(size)
