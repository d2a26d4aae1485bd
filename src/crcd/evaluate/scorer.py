"""Scores of networks on one set of images."""

from collections.abc import Callable, Iterable, Sequence

from torch import Tensor, nn

from crcd.data.batch import Batch
from crcd.evaluate.accuracy import top1
from crcd.evaluate.fidelity import agreement
from crcd.evaluate.predict import predict


class Scorer:
    """Top-1 of networks, and their agreement with a teacher whose logits are computed once.

    Args:
        batches: gives the images to score, in the order of their labels, as often as it is called.
        labels_N: their classes.
        teacher: the network to agree with; None if there is none.
    """

    def __init__(self, batches: Callable[[], Iterable[Batch]], labels_N: Tensor, teacher: nn.Module | None) -> None:
        self._batches = batches
        self._labels_N = labels_N
        self._teacher_logits_NC = predict([teacher], batches())[0] if teacher is not None else None

    @property
    def teacher_top1(self) -> float | None:
        """The teacher's own top-1, percent."""
        return None if self._teacher_logits_NC is None else top1(self._teacher_logits_NC, self._labels_N)

    def __call__(self, models: Sequence[nn.Module]) -> list[dict[str, float]]:
        """``top1`` and, beside a teacher, ``agreement`` of each network, percent; leaves them in eval mode."""
        scores = []
        for logits_NC in predict(models, self._batches()):
            score = {"top1": top1(logits_NC, self._labels_N)}
            if self._teacher_logits_NC is not None:
                score["agreement"] = agreement(logits_NC, self._teacher_logits_NC)
            scores.append(score)
        return scores
