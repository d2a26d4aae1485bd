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
        sample_A: its samples; -1 for the origin, which is none.
        target_A: their classes; likewise.
        weight_A: 0 for an anchor that is not known, 1 for others.
    """

    student_AD: Tensor
    teacher_AD: Tensor
    sample_A: Tensor
    target_A: Tensor
    weight_A: Tensor


class Pairs(NamedTuple):
    """Every sample with every anchor.

    Attributes:
        anchors: the anchors.
        weight_BA: of each pair, 0 or more; only their proportions count.
    """

    anchors: Anchors
    weight_BA: Tensor


def pair(
    config: RelationConfig, anchors: Anchors, sample_B: Tensor, teacher_BD: Tensor, own_BA: Tensor, weight_B: Tensor
) -> Pairs:
    """Samples and anchors, with the origin as a last anchor if it has a share.

    A sample is not seen from itself, with ``anchor_exclude="exact"`` nor from its own class. With
    ``pair_weighting="distance"`` a pair weighs |t_i - a_j|: the gradient of its loss is the longer, the nearer the two.

    Args:
        config: settings.
        anchors: samples of the batch or the bank.
        sample_B: sample numbers.
        teacher_BD: t_i, unit rows.
        own_BA: True where an anchor is of the sample's class.
        weight_B: of each sample.
    """
    weight_BA = weight_B[:, None] * anchors.weight_A * (sample_B[:, None] != anchors.sample_A)
    if config.anchor_exclude == "exact":
        weight_BA = weight_BA * ~own_BA
    if config.pair_weighting == "distance":
        weight_BA = weight_BA * (2 - 2 * teacher_BD @ anchors.teacher_AD.T).clamp_min(0).sqrt()
    if config.origin == 0:
        return Pairs(anchors, weight_BA)
    origin_1D, none_1 = torch.zeros_like(teacher_BD[:1]), sample_B.new_full((1,), -1)
    at_origin = Anchors(origin_1D, origin_1D, none_1, none_1, weight_B.new_ones(1))
    both = Anchors(*map(torch.cat, zip(anchors, at_origin, strict=True)))
    shares = (1 - config.origin) * _shares(weight_BA), config.origin * _shares(weight_B[:, None])
    return Pairs(both, torch.cat(shares, dim=1))


def _shares(weights: Tensor) -> Tensor:
    return weights / weights.sum().clamp_min(1e-12)
