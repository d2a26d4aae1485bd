"""The contrast of one kind of element, features or feature gradients, in both directions."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from crcd import distributed
from crcd.errors import CrcdError
from crcd.relation.anchors import Anchors, pair_weights
from crcd.relation.bank import Bank
from crcd.relation.config import RelationConfig
from crcd.relation.contrast import Contrast
from crcd.relation.direction import Relations, Samples
from crcd.relation.embedding import Embedding, Standardised
from crcd.relation.mixture import Mixture
from crcd.relation.negatives import Negatives
from crcd.relation.queue import Queue
from crcd.relation.source import Drawn, Elements, InBatch, NegativeSource


class _Positives(NamedTuple):
    """The positive key of each sample, by both networks.

    Attributes:
        student_BD: key of the mirrored term.
        teacher_BD: key of the student's.
        weight_B: of each sample, 0 where its key is not known.
    """

    student_BD: Tensor
    teacher_BD: Tensor
    weight_B: Tensor


class ElementContrast(nn.Module):
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
        self.embeds_rows = config.remember == "elements" and config.source != "batch"
        self.mirrored = config.teacher_head == "linear"
        dim = config.dim if self.mirrored else teacher_dim
        self.student_head = Embedding(student_dim, dim, bias=bias)
        self.teacher_head = (
            Embedding(teacher_dim, dim, bias=bias) if self.mirrored else Standardised(dim, normalise_first=not bias)
        )
        widths = (student_dim, teacher_dim) if config.remember == "elements" else (dim, dim)
        self.source = _build_source(config, labels_N, widths, unlabelled=unlabelled)
        num_samples = 0 if labels_N is None else len(labels_N) if unlabelled else int((labels_N >= 0).sum())
        if config.sample_share < 1:
            self.student_term = Relations(config, dim, num_samples)
            self.mirrored_term = Relations(config, dim, num_samples) if self.mirrored else None
        if config.sample_share > 0:
            samples = partial(
                Samples,
                config.objective,
                config.temperature,
                num_samples,
                gathered=config.anchor_scope == "gathered",
            )
            self.student_samples = samples()
            self.mirrored_samples = samples() if self.mirrored else None

    def forward(
        self,
        student_BE: Tensor,
        teacher_BE: Tensor,
        weight_B: Tensor,
        target_B: Tensor,
        index_B: Tensor | None,
        mixture: Mixture | None,
    ) -> Contrast:
        if isinstance(self.teacher_head, Standardised) and self.training:
            self.teacher_head.learn(teacher_BE, weight_B > 0)
        s_BD, t_BD = self.student_head(student_BE), self.teacher_head(teacher_BE)
        rows = (s_BD, t_BD)
        if self.embeds_rows:
            rows = (self.student_head.scaled(student_BE), self.teacher_head.scaled(teacher_BE))
        batch = Elements(rows[0].detach(), rows[1].detach(), target_B, index_B, weight_B > 0)
        if mixture is not None:
            batch = batch._replace(usable_B=batch.usable_B & ~mixture.is_mixed, partner_B=mixture.partner_B)
            if self.config.positive_source == "bank":
                weight_B = weight_B * ~mixture.is_mixed
        drawn = self._embedded(*self.source.draw(batch))
        sample_B = torch.arange(len(target_B), device=target_B.device) if index_B is None else index_B
        positives = self._positives(s_BD.detach(), t_BD.detach(), sample_B, weight_B)
        own = slice(None) if self.config.anchor_scope == "gathered" else distributed.own_rows(len(target_B))
        s_BD, t_BD, weight_B, sample_B = s_BD[own], t_BD[own], weight_B[own], sample_B[own]
        positives = _Positives(*(part[own] for part in positives))
        drawn = Drawn(drawn.student.of(own), drawn.teacher.of(own))

        terms: list[tuple[float, list[Contrast]]] = []
        if self.config.sample_share < 1:
            anchors = self._anchors(s_BD.detach(), t_BD.detach(), sample_B, target_B[own], weight_B)
            own_BA = batch.own_class(anchors.target_A)[own] if self.config.anchor_exclude == "exact" else None
            relations = self._relations(s_BD, t_BD, sample_B, positives, anchors, own_BA, drawn)
            terms.append((1 - self.config.sample_share, relations))
        if self.config.sample_share > 0:
            terms.append((self.config.sample_share, self._samples(s_BD, t_BD, positives, drawn)))
        loss = sum((share * contrast.loss for share, both in terms for contrast in both), s_BD.new_zeros(()))
        bound = sum((share * both[0].mi_bound for share, both in terms), s_BD.new_zeros(()))
        if self.training:
            self.source.update(batch)
        return Contrast(loss, bound)

    def _relations(
        self,
        s_BD: Tensor,
        t_BD: Tensor,
        sample_B: Tensor,
        positives: _Positives,
        anchors: Anchors,
        own_BA: Tensor | None,
        drawn: Drawn,
    ) -> list[Contrast]:
        """The student's term, and the mirrored one where the teacher's head is trained."""
        weight_BA = pair_weights(self.config, anchors, sample_B, positives.teacher_BD, own_BA, positives.weight_B)
        count_BA = drawn.teacher.count(len(s_BD), anchors.sample_A, len(anchors.teacher_AD))
        pairs = (anchors.sample_A, weight_BA)
        both = [self.student_term(s_BD, positives.teacher_BD, anchors.teacher_AD, *pairs, drawn.teacher, count_BA)]
        if self.mirrored_term is not None:
            keys = (positives.student_BD, anchors.student_AD)
            both.append(self.mirrored_term(t_BD, *keys, *pairs, drawn.student, count_BA))
        return both

    def _samples(self, s_BD: Tensor, t_BD: Tensor, positives: _Positives, drawn: Drawn) -> list[Contrast]:
        """Likewise."""
        weight_B, count_B = positives.weight_B, drawn.teacher.count(len(s_BD), None, 1)[:, 0]
        both = [self.student_samples(s_BD, positives.teacher_BD, weight_B, drawn.teacher, count_B)]
        if self.mirrored_samples is not None:
            both.append(self.mirrored_samples(t_BD, positives.student_BD, weight_B, drawn.student, count_B))
        return both

    def _anchors(self, s_BD: Tensor, t_BD: Tensor, sample_B: Tensor, target_B: Tensor, weight_B: Tensor) -> Anchors:
        """Samples of the bank or the batch."""
        if self.config.anchor_source == "bank":
            assert isinstance(self.source, Bank)
            sample_A = self.source.draw_rows(self.config.anchors or len(s_BD))
            known_A = self.source.has(sample_A).to(weight_B.dtype)
            return Anchors(*self._embed(*self.source.rows(sample_A)), sample_A, self.source.labels_N[sample_A], known_A)
        first = slice(self.config.anchors)
        return Anchors(s_BD[first], t_BD[first], sample_B[first], target_B[first], weight_B[first])

    def _positives(self, s_BD: Tensor, t_BD: Tensor, sample_B: Tensor, weight_B: Tensor) -> _Positives:
        if self.config.positive_source == "bank":
            assert isinstance(self.source, Bank)
            return _Positives(*self._embed(*self.source.rows(sample_B)), weight_B * self.source.has(sample_B))
        return _Positives(s_BD, t_BD, weight_B)

    @torch.no_grad()
    def _embed(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the source as the heads of now see them; the student's stay as they are where no mirrored term is."""
        if not self.embeds_rows:
            return student, teacher
        return self.student_head(student) if self.mirrored else student, self.teacher_head(teacher)

    def _embedded(self, student: Negatives, teacher: Negatives) -> Drawn:
        student_rows, teacher_rows = self._embed(student.rows, teacher.rows)
        return Drawn(replace(student, rows=student_rows), replace(teacher, rows=teacher_rows))


def _build_source(
    config: RelationConfig, labels_N: Tensor | None, widths: tuple[int, int], *, unlabelled: bool
) -> NegativeSource:
    exact = config.exclude == "exact"
    if labels_N is None and (config.source == "bank" or config.objective == "nce"):
        raise CrcdError(
            "a bank and the nce objective need labels, the class of every training sample: pass labels, "
            "or set source to queue and objective to infonce, which need none"
        )
    if config.source == "batch":
        return InBatch(exact=exact)
    if config.source == "queue":
        count = config.negatives if labels_N is None else min(config.negatives, len(labels_N))
        return Queue(widths, count, exact=exact)
    assert labels_N is not None
    return Bank(
        labels_N,
        widths,
        config.negatives,
        exact=exact,
        shared=config.shared,
        momentum=config.bank_momentum,
        unit=config.remember == "embeddings",
        unlabelled=unlabelled,
        half=config.bank_precision == "float16",
        sharded=config.bank_rows == "sharded",
    )
