"""Networks of timm."""

import timm
from timm.data.config import resolve_data_config
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from torch import nn

from crcd.errors import unknown
from crcd.models.image_format import ImageFormat, Interpolation
from crcd.models.provider import Aliases


def names() -> list[str]:
    """Without the tags of their weights."""
    listed: list[str] = timm.list_models()
    return listed


def create(name: str, num_classes: int, in_channels: int) -> nn.Module:
    """See ``Library``."""
    if not timm.is_model(name):
        raise unknown("model", f"timm/{name}", [f"timm/{known}" for known in names()])
    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=num_classes, in_chans=in_channels)
    return model


def pretrained(name: str) -> nn.Module:
    """See ``Library``."""
    model: nn.Module = timm.create_model(name, pretrained=True)
    return model


def image_format(name: str) -> ImageFormat | None:
    """See ``Library``; its share of the image that is cropped is left out, the crop being the run's."""
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None:
        return None
    found = resolve_data_config({}, pretrained_cfg=cfg.to_dict())
    channels, size, _ = found["input_size"]
    kind: Interpolation = found["interpolation"] if found["interpolation"] in ("nearest", "bicubic") else "bilinear"
    return ImageFormat(channels, size, tuple(found["mean"]), tuple(found["std"]), kind)


def class_names(name: str) -> Aliases | None:
    """See ``Library``: WordNet's number and every synonym of the classes of ImageNet."""
    cfg = timm.get_pretrained_cfg(name)
    subset = None if cfg is None else infer_imagenet_subset(cfg.to_dict())
    if subset is None:
        return None
    info = ImageNetInfo(subset)
    words = (text.split(",") for text in info.label_descriptions(detailed=False))
    return [frozenset({wnid, *map(str.strip, of)}) for wnid, of in zip(info.label_names(), words, strict=True)]
