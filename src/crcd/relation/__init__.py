"""The method itself: relations between samples, contrasted between teacher and student. Needs torch only."""

from crcd.relation.config import RelationConfig
from crcd.relation.contrast import Contrast, relation_contrast, sample_contrast
from crcd.relation.gradient import feature_gradient, feature_gradient_autograd
from crcd.relation.loss import CRCDLoss, CRCDTerms
from crcd.relation.mixture import Mixture
from crcd.relation.negatives import Negatives
from crcd.relation.objectives import NCE, InfoNCE
from crcd.relation.relations import MLP, Difference
from crcd.relation.view import View

__all__ = [
    "MLP",
    "NCE",
    "CRCDLoss",
    "CRCDTerms",
    "Contrast",
    "Difference",
    "InfoNCE",
    "Mixture",
    "Negatives",
    "RelationConfig",
    "View",
    "feature_gradient",
    "feature_gradient_autograd",
    "relation_contrast",
    "sample_contrast",
]
