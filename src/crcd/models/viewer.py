"""Reading logits, penultimate feature and named feature maps off any classifier."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from crcd.errors import CrcdError, unknown
from crcd.models.classifier import ImageClassifier
from crcd.models.headless import Headless
from crcd.models.heads import NAMED_BY, as_vectors, find_heads, head_of, is_linear, linear_layers
from crcd.models.preactivation import run_stage
from crcd.models.recording import recorded
from crcd.relation.view import View

TIMM_METHODS = ("forward_features", "forward_head", "get_classifier")


class Viewer(nn.Module):
    """image -> View in one forward pass of the model, with classifier(feature) equal to logits.

    The zoo's networks are read stage by stage, timm's through ``forward_features`` and ``forward_head``. Of any other
    network the first image decides which linear layer or 1x1 convolution gives the logits, or which two whose mean
    they are (DeiT's: see ``MeanHead``); from the first image in eval mode on, a network with one such layer is read
    without it (``Headless``). None of these needs hooks, so all compile. Two layers, or one that was named, are read
    by hooks that live for one forward pass.

    Args:
        model: images [B, C, H, W] -> logits [B, classes].
        maps: names of the feature maps to read: a zoo network's stages (``stem``, ``stage1``, ...), or submodules of
            any other network, read by hooks.
        classifier: name of the submodule that makes the logits, for a network where it cannot be found; what it gives
            is taken as the logits whatever follows it.
        preactivations: also read the maps of a zoo network's stages before their activation.
        adapt: makes of a batch's images those that the model takes; None where they are the same.

    Raises:
        CrcdError: a name is not a layer's, or pre-activations are asked of a network that is not of the zoo.
    """

    def __init__(
        self,
        model: nn.Module,
        maps: Sequence[str] = (),
        classifier: str | None = None,
        *,
        preactivations: bool = False,
        adapt: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.maps = tuple(maps)
        self.classifier = classifier
        self.preactivations = preactivations
        self.adapt = adapt
        self.heads: tuple[str, ...] = () if classifier is None else (classifier,)
        self._headless: Headless | None = None
        self._settled = classifier is not None
        self._by_methods = classifier is None and _has_timm_methods(model)
        self._head: tuple[nn.Module, ...] = (head_of([_classifier_of(model)]),) if self._by_methods else ()
        for name in self.maps:
            _check_name("feature map", name, self._map_layers())
        if classifier is not None:
            _check_name("layer", classifier, dict(model.named_modules()))
        if preactivations and not isinstance(model, ImageClassifier):
            raise CrcdError(
                f"{_name(model)}: its maps before their activation are not known, so a method that needs them can't be "
                "used with it: take a network of `crcd list models`, or another method"
            )

    @property
    def head(self) -> nn.Module | None:
        """What makes the logits of the feature; a part of ``model``, so it is none of the viewer's own submodules."""
        return self._head[0] if self._head else None

    def forward(self, image: Tensor) -> View:
        """View of one batch of images [B, C, H, W].

        Raises:
            CrcdError: the layer that makes the logits cannot be told, its input is not [B, D], or a map's layer
                did not run.
        """
        if self.adapt is not None:
            image = self.adapt(image)
        if self._by_methods:
            return self._view_by_methods(image)
        return self._view_by_hooks(image) if self._headless is None else self._view_headless(self._headless, image)

    def _view_by_methods(self, image: Tensor) -> View:
        model: Any = self.model
        features, maps, preactivations = self._forward_features(image)
        feature_BD = as_vectors(model.forward_head(features, pre_logits=True))
        _check_feature(model, feature_BD)
        assert self.head is not None
        return View(self.head(feature_BD), feature_BD, self.head, maps, preactivations)

    def _view_headless(self, headless: Headless, image: Tensor) -> View:
        if not self.maps:
            feature_BD, maps = as_vectors(headless(image)), {}
        else:
            with recorded({name: self._map_layers()[name] for name in self.maps}) as calls:
                feature_BD = as_vectors(headless(image))
            maps = self._read_maps(calls)
        assert self.head is not None
        return View(self.head(feature_BD), feature_BD, self.head, maps)

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
        candidates = {name: layers[name] for name in self.heads} or linear_layers(self.model)
        with (
            recorded(candidates) as calls,
            recorded({name: self._map_layers()[name] for name in self.maps}) as map_calls,
        ):
            output = self.model(image)
        self.heads = self.heads or find_heads(self.model, output, calls)
        if self.head is None:
            self._head = (head_of([layers[name] for name in self.heads]),)
        if absent := [name for name in self.heads if name not in calls]:
            raise CrcdError(f"{_name(self.model)}: its classifier '{absent[0]}' did not run; name another layer")
        taken = [as_vectors(calls[name][0]) for name in self.heads]
        for feature in taken:
            _check_feature(self.model, feature)
        feature_BD = taken[0] if len(taken) == 1 else torch.cat(taken, dim=1)
        logits_BC = as_vectors(calls[self.heads[0]][1]) if len(taken) == 1 else output
        if not self._settled and not self.model.training:
            self._settle(image, feature_BD)
        assert self.head is not None
        return View(logits_BC, feature_BD, self.head, self._read_maps(map_calls))

    def _settle(self, image: Tensor, feature_BD: Tensor) -> None:
        """Read the network without its last layer from now on, if it has one and that gives the same feature."""
        self._settled = True
        if len(self.heads) > 1:
            return
        headless = Headless(self.model, self.heads[0])
        with torch.no_grad():
            found = as_vectors(headless(image))
        if isinstance(found, Tensor) and found.shape == feature_BD.shape and torch.allclose(found, feature_BD):
            self._headless = headless

    def _map_layers(self) -> dict[str, nn.Module]:
        if isinstance(self.model, ImageClassifier):
            return dict(self.model.body.named_children())
        return dict((self.model if self._headless is None else self._headless.network).named_modules())

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


def _classifier_of(model: Any) -> nn.Module:
    classifier: nn.Module = model.get_classifier()
    return classifier


def _has_timm_methods(model: nn.Module) -> bool:
    """Whether it is read by timm's methods and one linear layer makes its logits of what they give."""
    return all(hasattr(model, method) for method in TIMM_METHODS) and is_linear(_classifier_of(model))


def _check_feature(model: nn.Module, feature: Any) -> None:
    if not isinstance(feature, Tensor) or feature.dim() != 2:
        found = list(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
        raise CrcdError(
            f"{_name(model)}: the input of its classifier is {found}, not [batch, width]; "
            f"name a layer that takes one vector an image ({NAMED_BY})"
        )
