"""Data sets by name or folder, and their batches on the device."""

from crcd.data.augment import CropFlip
from crcd.data.balance import class_weights
from crcd.data.batch import Batch
from crcd.data.dataset import (
    UNLABELLED,
    DataSet,
    Images,
    TensorImages,
    check_labels,
    known_labels,
    labelled,
    relabelled,
    split,
    subset,
)
from crcd.data.encoded import EncodedImages, FolderImages
from crcd.data.erasing import Erasing
from crcd.data.loader import Inputs, Loader
from crcd.data.mix import Mix
from crcd.data.picture import PictureAugment
from crcd.data.registry import OF_ONES_OWN, TOLD_BY_NAME, dataset_names, default_recipe, load_dataset
from crcd.data.resized_crop import ResizedCropFlip

__all__ = [
    "OF_ONES_OWN",
    "TOLD_BY_NAME",
    "UNLABELLED",
    "Batch",
    "CropFlip",
    "DataSet",
    "EncodedImages",
    "Erasing",
    "FolderImages",
    "Images",
    "Inputs",
    "Loader",
    "Mix",
    "PictureAugment",
    "ResizedCropFlip",
    "TensorImages",
    "check_labels",
    "class_weights",
    "dataset_names",
    "default_recipe",
    "known_labels",
    "labelled",
    "load_dataset",
    "relabelled",
    "split",
    "subset",
]
