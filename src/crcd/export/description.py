"""What a classifier that was handed on says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import timm

from crcd.errors import CrcdError
from crcd.models import ImageFormat, library_of, refuse_code
from crcd.models.metadata import read_class_names, read_format


@dataclass(frozen=True)
class Description:
    """A classifier in words and numbers.

    Attributes:
        model: name of its network, as ``create_model`` takes it.
        data: name of the data set that it was trained on.
        images: those that it takes.
        class_names: of its logits, in their order.
        strings: all of it as the texts that every file of weights or of a program carries along.
    """

    model: str
    data: str
    images: ImageFormat
    class_names: tuple[str, ...]
    strings: Mapping[str, str]

    @classmethod
    def read(cls, strings: Mapping[str, str], where: str, model: str | None = None) -> Self:
        """What the texts of a file say.

        Args:
            strings: as ``crcd.train.build.metadata`` makes them.
            where: the file, for errors.
            model: name of the network where the user gives it; None takes the file's, but not to run code.

        Raises:
            CrcdError: something is missing, or the network is code and the user did not name it.
        """
        images, names = read_format(strings, where), read_class_names(strings, where)
        missing = [name for name in ("model", "data", "class_names") if name not in strings]
        if missing or names is None or images is None:
            lacking = missing[0] if missing else "images"
            raise CrcdError(
                f"{where}: it does not say its {lacking.replace('_', ' ')}; give what this version of crcd train, "
                "crcd distill or crcd export wrote"
            )
        if model is None:
            refuse_code(strings["model"], where)
        return cls(model or strings["model"], strings["data"], images, names, strings)

    @property
    def timm_name(self) -> str | None:
        """Name of the network in timm; None if it is of another library or none."""
        found = library_of(self.model)
        return found[1] if found is not None and self.model.startswith("timm/") else None

    def config(self) -> dict[str, Any]:
        """The description in timm's form, which ``timm.create_model("local-dir:FOLDER")`` reads."""
        images = self.images
        shape = [images.channels, images.size, images.size]
        preprocessing: dict[str, Any] = {
            "input_size": shape,
            "interpolation": images.interpolation,
            "crop_pct": 1.0,
            "crop_mode": "center",
            "mean": list(images.mean),
            "std": list(images.std),
        }
        cfg = None if self.timm_name is None else timm.get_pretrained_cfg(self.timm_name)
        if cfg is not None:
            layers = {"first_conv": cfg.first_conv, "classifier": cfg.classifier}
            preprocessing |= {name: layer for name, layer in layers.items() if layer is not None}
        return {
            "architecture": self.timm_name or self.model,
            "num_classes": len(self.class_names),
            "label_names": list(self.class_names),
            "model_args": {"in_chans": images.channels},
            "pretrained_cfg": preprocessing,
        }
