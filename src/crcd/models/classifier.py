"""The one shape of every network of the zoo: named body stages, global average pooling, one linear classifier."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F


class ImageClassifier(nn.Module):
    """logits = W f + b with f = global average of body(image); the method names are timm's.

    The children of ``body`` run in order and are called ``stem``, ``stage1``, ``stage2``, ... and, in some families,
    ``head`` (a last convolution or activation before the pooling), so that any of their outputs can be read by name.
    Any image size works that leaves at least one pixel after the strides.

    Attributes:
        body: the named stages, [B, in_channels, H, W] -> [B, feature_dim, H', W'].
        classifier: the last layer, [B, feature_dim] -> [B, num_classes].
        feature_dim: D, width of the penultimate feature.
        num_classes: C, width of the logits.
    """

    def __init__(self, stages: Mapping[str, nn.Module], feature_dim: int, num_classes: int) -> None:
        super().__init__()
        self.feature_dim = feature_dim
        self.num_classes = num_classes
        self.body = nn.Sequential()
        for name, stage in stages.items():
            self.body.add_module(name, stage)
        self.classifier = nn.Linear(feature_dim, num_classes)

    def forward_features(self, image: Tensor) -> Tensor:
        """Last feature map, [B, feature_dim, H', W']."""
        features: Tensor = self.body(image)
        return features

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits [B, C] of a last feature map, or with ``pre_logits`` the penultimate feature [B, D]."""
        feature_BD = F.adaptive_avg_pool2d(features, 1).flatten(1)
        if pre_logits:
            return feature_BD
        logits: Tensor = self.classifier(feature_BD)
        return logits

    def get_classifier(self) -> nn.Linear:
        """The layer that maps the penultimate feature to the logits."""
        return self.classifier

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Which parameters are a layer for layer-wise rates, as timm asks its networks: the stages in their order."""
        return {"stem": r"^body\.stem", "blocks": [(r"^body\.stage(\d+)", None), (r"^body\.head", (99999,))]}

    def forward(self, image: Tensor) -> Tensor:
        """Logits, [B, C]."""
        return self.forward_head(self.forward_features(image))
