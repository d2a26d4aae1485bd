"""Anchors, from which samples are seen, and what each pair of sample and anchor weighs."""

from typing import NamedTuple

import torch
from torch import Tensor

from crcd.relation.config import RelationConfig


class Anchors(NamedTuple):
    """What relations are seen from, by both networks.

    Attributes:
        student_AD: as the student's head embeds it, for the mirrored term.
        teacher_AD: as the teacher's head does.
        sample_A: its samples.
        target_A: their classes.
        weight_A: 0 for an anchor that is not known or whose element has no direction, 1 for others.
    """

    student_AD: Tensor
    teacher_AD: Tensor
    sample_A: Tensor
    target_A: Tensor
    weight_A: Tensor


def pair_weights(
    config: RelationConfig,
    anchors: Anchors,
    sample_B: Tensor,
    teacher_BD: Tensor,
    own_BA: Tensor | None,
    weight_B: Tensor,
) -> Tensor:
    """Weight of each sample as seen from each anchor, 0 or more, [B, A]; only their proportions count.

    A sample is not seen from itself, with ``anchor_exclude="exact"`` nor from its own class. With
    ``pair_weighting="distance"`` a pair weighs |t_i - a_j|: the gradient of its loss is the longer, the nearer the two.

    Args:
        config: settings.
        anchors: samples of the batch or the bank.
        sample_B: sample numbers.
        teacher_BD: t_i, unit rows.
        own_BA: True where an anchor is of the sample's class, which then is no anchor of it; None where it may be.
        weight_B: of each sample.
    """
    weight_BA = weight_B[:, None] * anchors.weight_A * (sample_B[:, None] != anchors.sample_A)
    if own_BA is not None:
        weight_BA = weight_BA * ~own_BA
    if config.pair_weighting == "distance":
        with torch.autocast(teacher_BD.device.type, enabled=False):
            weight_BA = weight_BA * (2 - 2 * teacher_BD @ anchors.teacher_AD.T).clamp_min(0).sqrt()
    return weight_BA
