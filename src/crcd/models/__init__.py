"""Networks: the CIFAR zoo, libraries and the user's code by name, what is read off them, their weights and their cost."""

from crcd.models.adapt import Adapt, adapt_between
from crcd.models.classifier import ImageClassifier
from crcd.models.complexity import count_multiply_adds, count_parameters
from crcd.models.fold import fold_batchnorm
from crcd.models.image_format import ImageFormat
from crcd.models.registry import create_model, library_of, model_names, pretrained_model
from crcd.models.viewer import Viewer, stage_names
from crcd.models.weights import load_weights, read_metadata, save_weights, weights_digest

__all__ = [
    "Adapt",
    "ImageClassifier",
    "ImageFormat",
    "Viewer",
    "adapt_between",
    "count_multiply_adds",
    "count_parameters",
    "create_model",
    "fold_batchnorm",
    "library_of",
    "load_weights",
    "model_names",
    "pretrained_model",
    "read_metadata",
    "save_weights",
    "stage_names",
    "weights_digest",
]
