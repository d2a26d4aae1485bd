"""Networks: the CIFAR zoo and timm by name, what is read off them, their weights and their cost."""

from crcd.models.classifier import ImageClassifier
from crcd.models.complexity import count_multiply_adds, count_parameters
from crcd.models.fold import fold_batchnorm
from crcd.models.registry import create_model, model_names
from crcd.models.viewer import Viewer, stage_names
from crcd.models.weights import load_weights, read_metadata, save_weights, weights_digest

__all__ = [
    "ImageClassifier",
    "Viewer",
    "count_multiply_adds",
    "count_parameters",
    "create_model",
    "fold_batchnorm",
    "load_weights",
    "model_names",
    "read_metadata",
    "save_weights",
    "stage_names",
    "weights_digest",
]
