"""CRCDLoss: the relation contrast of two complementary elements, with its heads and banks, for any training loop."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from crcd.relation.config import RelationConfig
from crcd.relation.element import ElementContrast
from crcd.relation.gradient import gradient_element
from crcd.relation.mixture import Mixture
from crcd.relation.view import View


class CRCDTerms(NamedTuple):
    """The relation losses of one batch; None for an element whose weight is 0.

    Attributes:
        loss: feature_weight * feature + gradient_weight * gradient, differentiable.
        feature: relation loss on features (student's term, plus the mirrored one where the teacher's head is trained),
            nats, detached.
        gradient: relation loss on feature gradients, likewise.
        mi_bound: lower bound of the mutual information of the feature relations of teacher and student, nats; with
            samples contrasted beside them, the mean of either bound by their shares.
        gradient_mi_bound: the same for feature gradients.
    """

    loss: Tensor
    feature: Tensor | None
    gradient: Tensor | None
    mi_bound: Tensor | None
    gradient_mi_bound: Tensor | None


class CRCDLoss(nn.Module):
    """feature_weight * L_feature + gradient_weight * L_gradient: the relation part of CRCD's objective.

    Each L is (1 - sample_share) times the relation contrast of the student's elements with the teacher's
    (``relation_contrast``) and sample_share times the contrast of the samples themselves (``sample_contrast``), either
    with the mirrored term that trains the teacher's embedding head, where that is trained. Train its parameters with
    the student's; keep its ``state_dict`` (heads and banks) in checkpoints.

    An image mixed of two samples, as student and teacher both see it, is a query, a positive and an anchor as any
    other; its label in the gradient element is soft. It is no negative, and no bank or queue remembers it, since its
    element is not that of one sample; among its negatives is neither of its classes (``relax``: of its samples). With
    positives from the bank, which has none of it, it weighs nothing.

    A sample whose class is not known, below 0, has features but no feature gradient: it takes part in the relations
    of features as any other, and in none of gradients. What is not known to be of its class may be its negative.

    Args:
        student_dim: D_s, width of the student's penultimate feature.
        teacher_dim: D_t, width of the teacher's.
        config: settings; None for the usual ones.
        labels: class of every training sample, in the order of the ``index`` of ``forward``, [N], below 0 where it is
            not known; None where samples have no numbers, as in a stream. A bank and the nce objective need them.

    Raises:
        CrcdError: the settings need what is not given: a bank or the nce objective without ``labels``.
    """

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        config: RelationConfig | None = None,
        *,
        labels: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.config = config or RelationConfig()
        self.feature: ElementContrast | None = None
        self.gradient: ElementContrast | None = None
        if self.config.feature_weight > 0:
            self.feature = ElementContrast(self.config, student_dim, teacher_dim, labels, bias=True, unlabelled=True)
        if self.config.gradient_weight > 0:
            bias = self.config.gradient_head == "affine"
            self.gradient = ElementContrast(self.config, student_dim, teacher_dim, labels, bias=bias, unlabelled=False)

    def forward(
        self,
        student: View,
        teacher: View,
        target: Tensor,
        index: Tensor | None = None,
        mixture: Mixture | None = None,
    ) -> CRCDTerms:
        """Relation losses of one batch.

        Args:
            student: the student's view, with its graph.
            teacher: the teacher's view of the same images; a constant.
            target: classes, [B]; below 0 where one is not known.
            index: sample numbers, [B]; a bank needs them.
            mixture: of which samples of the batch each image is mixed; None where none is.

        Raises:
            CrcdError: a feature is not of the width that the heads were made for, the heads were brought to half
                precision, or a bank gets no sample numbers.
        """
        loss = student.feature.new_zeros((), dtype=torch.float32)
        feature = gradient = None
        if self.feature is not None:
            weight_B = torch.ones_like(target, dtype=torch.float32)
            feature = self.feature(student.feature, teacher.feature.detach(), weight_B, target, index, mixture)
            loss = loss + self.config.feature_weight * feature.loss
        if self.gradient is not None:
            label = target if mixture is None else mixture.soft_labels(target, student.logits.shape[1])
            g_s = gradient_element(student, label)
            g_t = gradient_element(teacher, label).detach()
            lengths = torch.minimum(g_s.detach().norm(dim=1), g_t.norm(dim=1))
            known_B = target >= 0
            if mixture is not None:
                known_B = known_B & known_B[mixture.partner_B]
            weight_B = ((lengths >= self.config.min_gradient) & known_B).float()
            if self.config.gradient_head == "affine":
                g_s, g_t = g_s / len(target), g_t / len(target)
            gradient = self.gradient(g_s, g_t, weight_B, target, index, mixture)
            loss = loss + self.config.gradient_weight * gradient.loss
        return CRCDTerms(
            loss,
            feature.loss.detach() if feature else None,
            gradient.loss.detach() if gradient else None,
            feature.mi_bound if feature else None,
            gradient.mi_bound if gradient else None,
        )
