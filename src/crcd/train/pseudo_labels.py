"""The teacher's classes in place of labels that are not there."""

import json
from pathlib import Path

import torch
from torch import nn

from crcd import distributed
from crcd.data import UNLABELLED, Images, relabelled
from crcd.errors import CrcdError
from crcd.evaluate.predict import predict
from crcd.files import damaged, read_json, write_text
from crcd.train.material import Material
from crcd.train.run_folder import RunFolder


def with_pseudo_labels(images: Images, teacher: nn.Module, material: Material, folder: RunFolder) -> Images:
    """The images, those without a label in the class that the teacher takes for the likeliest (Lee 2013).

    The teacher sees each image once, as it is, before the students' training. Its answers are kept in the run's
    pseudo-labels.json, so that an interrupted run goes on with the same.

    Args:
        images: labelled and unlabelled.
        teacher: the trained teacher.
        material: says how images are read.
        folder: of the run.

    Raises:
        CrcdError: the answers that were kept are damaged, or those of other images.
    """
    labels = images.labels.clone()
    unlabelled_M = (labels == UNLABELLED).nonzero()[:, 0]
    kept = folder.path / "pseudo-labels.json"
    if distributed.first(kept.is_file):
        classes = distributed.first(lambda: _read(kept))
    else:
        (logits_MC,) = predict([teacher], material.in_order(images.take(unlabelled_M)).epoch(0))
        classes = logits_MC.argmax(dim=1).tolist()
        write_text(kept, json.dumps(classes))
    if len(classes) != len(unlabelled_M):
        raise CrcdError(f"{kept} is of {len(classes)} images, but {len(unlabelled_M)} are unlabelled: begin anew")
    labels[unlabelled_M] = torch.tensor(classes, dtype=labels.dtype, device=labels.device)
    return relabelled(images, labels)


def _read(kept: Path) -> list[int]:
    classes: list[int] = read_json(kept)
    if not (isinstance(classes, list) and all(type(number) is int for number in classes)):
        raise damaged(kept, "it is no list of classes")
    return classes


def with_classes_by_turns(images: Images, num_classes: int) -> Images:
    """The images, those without a label in all classes by turns: stands in before there is a teacher."""
    turns_N = torch.arange(len(images), device=images.labels.device) % num_classes
    return relabelled(images, torch.where(images.labels == UNLABELLED, turns_N, images.labels))
