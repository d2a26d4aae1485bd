"""Networks: the CIFAR zoo, libraries and the user's code by name, what is read off them, and their weights."""

from crcd.models.adapt import Adapt, adapt_between
from crcd.models.classifier import ImageClassifier
from crcd.models.complexity import count_multiply_adds, count_parameters
from crcd.models.fold import fold_batchnorm
from crcd.models.image_format import ImageFormat
from crcd.models.registry import create_model, library_of, model_names, pretrained_model, refuse_code
from crcd.models.viewer import Viewer, stage_names
from crcd.models.weights import fill_weights, load_weights, read_metadata, read_weights, save_weights, weights_digest

__all__ = [
    "Adapt",
    "ImageClassifier",
    "ImageFormat",
    "Viewer",
    "adapt_between",
    "count_multiply_adds",
    "count_parameters",
    "create_model",
    "fill_weights",
    "fold_batchnorm",
    "library_of",
    "load_weights",
    "model_names",
    "pretrained_model",
    "read_metadata",
    "read_weights",
    "refuse_code",
    "save_weights",
    "stage_names",
    "weights_digest",
]
