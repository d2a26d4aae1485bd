"""CRCDLoss: the relation contrast of two complementary elements, with its heads and banks, for any training loop."""

import logging
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from crcd import distributed
from crcd.errors import CrcdError
from crcd.relation.bank import Bank
from crcd.relation.config import RelationConfig
from crcd.relation.contrast import Contrast, relation_contrast
from crcd.relation.gradient import gradient_element
from crcd.relation.mixture import Mixture
from crcd.relation.negatives import Negatives
from crcd.relation.objectives import NCE, InfoNCE, Objective
from crcd.relation.queue import Queue
from crcd.relation.relations import DifferenceNetwork, Embedding, MLPNetwork
from crcd.relation.source import Drawn, Elements, InBatch, NegativeSource
from crcd.relation.view import View

log = logging.getLogger(__name__)


class CRCDTerms(NamedTuple):
    """The relation losses of one batch; None for an element whose weight is 0.

    Attributes:
        loss: feature_weight * feature + gradient_weight * gradient, differentiable.
        feature: relation loss on features (student's term plus mirrored term), nats, detached.
        gradient: relation loss on feature gradients, likewise.
        mi_bound: lower bound of the mutual information of the feature relations of teacher and student, nats.
        gradient_mi_bound: the same for feature gradients.
    """

    loss: Tensor
    feature: Tensor | None
    gradient: Tensor | None
    mi_bound: Tensor | None
    gradient_mi_bound: Tensor | None


class _Direction(nn.Module):
    """One direction of the contrast: its relation network and, for NCE, its constant Z frozen on the first batch.

    Z = N * mean over the pairs and keys of exp(cos / tau).
    """

    def __init__(self, config: RelationConfig, num_samples: int) -> None:
        super().__init__()
        self.config, self.num_samples = config, num_samples
        self.network = MLPNetwork(config.dim, config.hidden) if config.relation == "mlp" else DifferenceNetwork()
        self.log_z: Tensor | None = None

    def forward(
        self,
        query: Tensor,
        positive: Tensor,
        anchor: Tensor,
        anchor_sample: Tensor,
        weight: Tensor,
        keys: Negatives,
        count: Tensor,
    ) -> Contrast:
        def contrast(objective: Objective) -> Contrast:
            found = relation_contrast(
                self.network(),
                query,
                positive,
                anchor,
                keys,
                objective,
                weight_BA=weight,
                anchor_sample_A=anchor_sample,
                count_BA=count,
                kernel=self.config.kernel,
            )
            return found if self.config.anchor_scope == "gathered" else Contrast(*distributed.mean(torch.stack(found)))

        if self.config.objective == "infonce":
            return contrast(InfoNCE(self.config.temperature))
        if self.log_z is None:
            with torch.no_grad():
                mean = contrast(_SumOfExponentials(self.config.temperature)).mi_bound
            if mean == 0:  # the batch has no usable negative
                return Contrast(query.sum() * 0, torch.zeros_like(mean))
            self.log_z = mean.log() + math.log(self.num_samples)
        return contrast(NCE(self.config.temperature, self.log_z, self.num_samples))

    def get_extra_state(self) -> Tensor:
        """Log Z, empty before it is known: formats that hold tensors alone keep it, too."""
        return torch.empty(0) if self.log_z is None else self.log_z

    def set_extra_state(self, state: Tensor) -> None:
        """Take log Z back."""
        self.log_z = state if state.numel() else None


@dataclass(frozen=True)
class _SumOfExponentials(InfoNCE):
    """Reports the mean of exp(cos / tau) over a pair's K + 1 keys in place of a bound."""

    def bound(self, loss_BA: Tensor, positive_cosine_BA: Tensor, count_BA: Tensor) -> Tensor:
        """exp(L + cos_0 / tau) / (K + 1)."""
        return torch.exp(loss_BA + positive_cosine_BA / self.temperature) / (count_BA + 1)


class _Element(nn.Module):
    """Heads, source of negatives and both directions of the contrast, for one of the two elements."""

    def __init__(
        self,
        config: RelationConfig,
        student_dim: int,
        teacher_dim: int,
        labels_N: Tensor | None,
        *,
        bias: bool,
        unlabelled: bool,
    ) -> None:
        super().__init__()
        self.config = config
        self.student_head = Embedding(student_dim, config.dim, bias=bias)
        self.teacher_head = Embedding(teacher_dim, config.dim, bias=bias)
        self.source = _build_source(config, labels_N, unlabelled=unlabelled)
        num_samples = 0 if labels_N is None else len(labels_N) if unlabelled else int((labels_N >= 0).sum())
        self.student_term, self.mirrored_term = _Direction(config, num_samples), _Direction(config, num_samples)

    def forward(
        self,
        student_BE: Tensor,
        teacher_BE: Tensor,
        weight_B: Tensor,
        target_B: Tensor,
        index_B: Tensor | None,
        mixture: Mixture | None,
    ) -> Contrast:
        s_BD, t_BD = self.student_head(student_BE), self.teacher_head(teacher_BE)
        batch = Elements(s_BD.detach(), t_BD.detach(), target_B, index_B, weight_B > 0)
        if mixture is not None:
            batch = batch._replace(usable_B=batch.usable_B & ~mixture.is_mixed, partner_B=mixture.partner_B)
            if self.config.positive_source == "bank":
                weight_B = weight_B * ~mixture.is_mixed
        drawn = self.source.draw(batch)
        sample_B = torch.arange(len(target_B), device=target_B.device) if index_B is None else index_B
        own = slice(None) if self.config.anchor_scope == "gathered" else distributed.own_rows(len(target_B))
        s_BD, t_BD, weight_B, sample_B = s_BD[own], t_BD[own], weight_B[own], sample_B[own]
        drawn = Drawn(drawn.student.of(own), drawn.teacher.of(own))

        student_positive, teacher_positive = s_BD.detach(), t_BD.detach()
        anchor_weight_A = weight_B[: self.config.anchors]
        anchor_sample_A = sample_B[: self.config.anchors]
        student_anchor = student_positive[: self.config.anchors]
        teacher_anchor = teacher_positive[: self.config.anchors]
        if isinstance(self.source, Bank) and self.config.anchor_source == "bank":
            anchor_sample_A = self.source.draw_rows(self.config.anchors or len(s_BD))
            anchor_weight_A = torch.ones_like(anchor_sample_A, dtype=weight_B.dtype)
            student_anchor, teacher_anchor = self.source.rows(anchor_sample_A)
        if isinstance(self.source, Bank) and self.config.positive_source == "bank":
            student_positive, teacher_positive = self.source.rows(sample_B)

        weight_BA = weight_B[:, None] * anchor_weight_A * (sample_B[:, None] != anchor_sample_A)
        count_BA = drawn.teacher.count(len(s_BD), anchor_sample_A, len(teacher_anchor))
        shared = (anchor_sample_A, weight_BA)
        student = self.student_term(s_BD, teacher_positive, teacher_anchor, *shared, drawn.teacher, count_BA)
        mirrored = self.mirrored_term(t_BD, student_positive, student_anchor, *shared, drawn.student, count_BA)
        if self.training:
            self.source.update(batch)
        return Contrast(student.loss + mirrored.loss, student.mi_bound)


def _build_source(config: RelationConfig, labels_N: Tensor | None, *, unlabelled: bool) -> NegativeSource:
    exact = config.exclude == "exact"
    if labels_N is None and (config.source == "bank" or config.objective == "nce"):
        raise CrcdError(
            "a bank and the nce objective need labels, the class of every training sample: pass labels, "
            "or set source to queue and objective to infonce, which need none"
        )
    if config.source == "batch":
        return InBatch(exact=exact)
    if config.source == "queue":
        return Queue(config.dim, config.negatives, exact=exact)
    assert labels_N is not None
    return Bank(
        labels_N,
        config.dim,
        config.negatives,
        exact=exact,
        shared=config.shared,
        momentum=config.bank_momentum,
        unlabelled=unlabelled,
        half=config.bank_precision == "float16",
        sharded=config.bank_rows == "sharded",
    )


def usual_config(labels: Tensor | None) -> RelationConfig:
    """The usual settings; without labels, which a bank needs, negatives come from a queue, and that is said."""
    if labels is not None:
        return RelationConfig()
    config = RelationConfig(source="queue")
    log.warning(
        "crcd has no labels of the training samples, so its negatives come from a queue of the latest %d elements, not "
        "from a bank of all samples",
        config.negatives,
    )
    return config


class CRCDLoss(nn.Module):
    """feature_weight * L_feature + gradient_weight * L_gradient: the relation part of CRCD's objective.

    Each L is the relation contrast of the student's elements with the teacher's (``relation_contrast``) plus the
    mirrored term that trains the teacher's embedding head. Train its parameters with the student's; keep its
    ``state_dict`` (heads and banks) in checkpoints.

    An image mixed of two samples, as student and teacher both see it, is a query, a positive and an anchor as any
    other; its label in the gradient element is soft. It is no negative, and no bank or queue remembers it, since its
    element is not that of one sample; among its negatives is neither of its classes (``relax``: of its samples). With
    positives from the bank, which has none of it, it weighs nothing.

    A sample whose class is not known, below 0, has features but no feature gradient: it takes part in the relations
    of features as any other, and in none of gradients. What is not known to be of its class may be its negative.

    Args:
        student_dim: D_s, width of the student's penultimate feature.
        teacher_dim: D_t, width of the teacher's.
        config: settings; None for the usual ones, with a queue in place of the bank where there are no labels.
        labels: class of every training sample, in the order of the ``index`` of ``forward``, [N], below 0 where it is
            not known; None where samples have no numbers, as in a stream. Needed by a bank.

    Raises:
        CrcdError: the settings do not fit the data, e.g. more negatives than there are samples.
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
        self.config = config or usual_config(labels)
        self.feature: _Element | None = None
        self.gradient: _Element | None = None
        if self.config.feature_weight > 0:
            self.feature = _Element(self.config, student_dim, teacher_dim, labels, bias=True, unlabelled=True)
        if self.config.gradient_weight > 0:
            bias = self.config.gradient_head == "affine"
            self.gradient = _Element(self.config, student_dim, teacher_dim, labels, bias=bias, unlabelled=False)

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
