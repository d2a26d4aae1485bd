"""Reading logits, penultimate feature and named feature maps off any classifier."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from crcd.errors import CrcdError, unknown
from crcd.models.classifier import ImageClassifier
from crcd.models.preactivation import run_stage
from crcd.models.recording import recorded
from crcd.relation.view import View

TIMM_METHODS = ("forward_features", "forward_head", "get_classifier")


class Viewer(nn.Module):
    """image -> View in one forward pass of the model, with classifier(feature) equal to logits.

    The zoo's networks are read stage by stage, timm's through ``forward_features`` and ``forward_head``, neither
    with hooks, so both compile. Of any other network the first image decides which linear layer's output is the
    logits, and hooks that live for one forward pass read that layer.

    Args:
        model: images [B, C, H, W] -> logits [B, classes].
        maps: names of the feature maps to read: a zoo network's stages (``stem``, ``stage1``, ...), or submodules of
            any other network, read by hooks.
        classifier: name of the submodule that makes the logits, for a network where it cannot be found.
        preactivations: also read the maps of a zoo network's stages before their activation.

    Raises:
        CrcdError: a name is not a layer's, ``get_classifier()`` of a timm network is not one linear layer, or
            pre-activations are asked of a network that is not of the zoo.
    """

    def __init__(
        self,
        model: nn.Module,
        maps: Sequence[str] = (),
        classifier: str | None = None,
        *,
        preactivations: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.maps = tuple(maps)
        self.classifier = classifier
        self.preactivations = preactivations
        self.hooked = classifier is not None or not all(hasattr(model, method) for method in TIMM_METHODS)
        for name in self.maps:
            _check_name("feature map", name, self._map_layers())
        if classifier is not None:
            _check_name("layer", classifier, dict(model.named_modules()))
        if not self.hooked:
            _check_classifier(model)
        if preactivations and not isinstance(model, ImageClassifier):
            raise CrcdError(
                f"{_name(model)}: its maps before their activation are not known, so a method that needs them can't be "
                "used with it: take a network of `crcd list models`, or another method"
            )

    def forward(self, image: Tensor) -> View:
        """View of one batch of images [B, C, H, W].

        Raises:
            CrcdError: the layer that makes the logits cannot be told, its input is not [B, D], or a map's layer
                did not run.
        """
        if self.hooked:
            return self._view_by_hooks(image)
        model: Any = self.model
        features, maps, preactivations = self._forward_features(image)
        feature_BD = model.forward_head(features, pre_logits=True)
        _check_feature(model, feature_BD)
        classifier = model.get_classifier()
        return View(classifier(feature_BD), feature_BD, classifier, maps, preactivations)

    def _forward_features(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        model: Any = self.model
        if isinstance(model, ImageClassifier):
            return self._run_stages(model.body, image)
        if not self.maps:
            return model.forward_features(image), {}, {}
        with recorded({name: self._map_layers()[name] for name in self.maps}) as calls:
            features = model.forward_features(image)
        return features, self._read_maps(calls), {}

    def _run_stages(self, body: nn.Sequential, features: Tensor) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        maps, preactivations = {}, {}
        stages = list(body.named_children())
        for position, (name, stage) in enumerate(stages):
            if self.preactivations and name in self.maps and name.startswith("stage"):
                following = stages[min(position + 1, len(stages) - 1)][1]
                features, preactivations[name] = run_stage(stage, following, features)
            else:
                features = stage(features)
            if name in self.maps:
                maps[name] = features
        return features, maps, preactivations

    def _view_by_hooks(self, image: Tensor) -> View:
        layers = dict(self.model.named_modules())
        linear = {name: layer for name, layer in layers.items() if isinstance(layer, nn.Linear)}
        candidates = linear if self.classifier is None else {self.classifier: layers[self.classifier]}
        with (
            recorded(candidates) as calls,
            recorded({name: self._map_layers()[name] for name in self.maps}) as map_calls,
        ):
            output = self.model(image)
        if self.classifier is None:
            self.classifier = _name_of_classifier(self.model, output, calls)
        if self.classifier not in calls:
            raise CrcdError(f"{_name(self.model)}: its classifier '{self.classifier}' did not run; name another layer")
        feature_BD, logits_BC = calls[self.classifier]
        _check_feature(self.model, feature_BD)
        return View(logits_BC, feature_BD, layers[self.classifier], self._read_maps(map_calls))

    def _map_layers(self) -> dict[str, nn.Module]:
        if isinstance(self.model, ImageClassifier):
            return dict(self.model.body.named_children())
        return dict(self.model.named_modules())

    def _read_maps(self, calls: Mapping[str, tuple[Any, Any]]) -> dict[str, Tensor]:
        for name in self.maps:
            if name not in calls or not isinstance(calls[name][1], Tensor):
                problem = "gives no tensor" if name in calls else "does not run before the pooling"
                raise CrcdError(f"{_name(self.model)}: layer '{name}' {problem}; name another for the feature map")
        return {name: calls[name][1] for name in self.maps}


def stage_names(model: nn.Module) -> tuple[str, ...]:
    """Names of the feature maps of a network's stages, from the image on, for ``Viewer``'s ``maps``.

    Raises:
        CrcdError: the network is neither of the zoo nor one of which timm knows the stages.
    """
    if isinstance(model, ImageClassifier):
        return tuple(name for name, _ in model.body.named_children())
    try:
        stages: list[dict[str, Any]] = list(model.feature_info)  # type: ignore[arg-type]
    except (AttributeError, TypeError) as error:
        raise CrcdError(
            f"{_name(model)}: its stages are not known, so methods that need feature maps can't be used with it"
        ) from error
    return tuple(stage["module"] for stage in stages)


def _name(model: nn.Module) -> str:
    return type(model).__name__


def _check_name(kind: str, name: str, layers: Mapping[str, nn.Module]) -> None:
    if name not in layers:
        outer = [layer for layer in layers if layer and "." not in layer]
        raise unknown(kind, name, get_close_matches(name.lower(), layers, n=3, cutoff=0.5) or outer)


def _check_classifier(model: Any) -> None:
    classifier = model.get_classifier()
    if not isinstance(classifier, nn.Linear):
        linear = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
        raise CrcdError(
            f"{_name(model)}: get_classifier() is a {type(classifier).__name__}, not one nn.Linear; name the layer "
            f"that makes the logits with classifier=, its last linear layers are {', '.join(linear[-5:]) or 'none'}"
        )


def _check_feature(model: nn.Module, feature: Any) -> None:
    if not isinstance(feature, Tensor) or feature.dim() != 2:
        found = list(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
        raise CrcdError(
            f"{_name(model)}: the input of its classifier is {found}, not [batch, width]; "
            "name a layer that takes one vector per image with classifier="
        )


def _name_of_classifier(model: nn.Module, output: Any, calls: Mapping[str, tuple[Any, Any]]) -> str:
    """The one linear layer whose output is the model's output."""
    if not isinstance(output, Tensor) or output.dim() != 2:
        found = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise CrcdError(f"{_name(model)} gives {found}, not logits [batch, classes]; name its last layer: classifier=")
    same = [name for name, (_, made) in calls.items() if made.shape == output.shape and torch.equal(made, output)]
    if len(same) == 1:
        return same[0]
    wide = [name for name, (_, made) in calls.items() if made.shape[-1] == output.shape[1]]
    raise CrcdError(
        f"{_name(model)}: {len(same)} linear layers give exactly its logits, so its classifier cannot be told; "
        f"name it with classifier=, candidates: {', '.join(wide) or ', '.join(calls) or 'no linear layer ran'}"
    )
