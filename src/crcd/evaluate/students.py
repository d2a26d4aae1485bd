"""What the accuracy of students leaves untold."""

from collections.abc import Iterable, Sequence

from torch import Tensor

from crcd.data.batch import Batch
from crcd.evaluate.calibration import expected_calibration_error
from crcd.evaluate.features import extract
from crcd.evaluate.fidelity import correlation_difference, kl_divergence, linear_cka
from crcd.models import Viewer


def score_students(
    teacher: Viewer, students: Sequence[Viewer], batches: Iterable[Batch], labels_N: Tensor
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Calibration of a teacher and its students, and the students' fidelity to it, as the networks are now.

    Args:
        teacher: the network to compare with.
        students: the networks to compare.
        batches: the images, in the order of their labels.
        labels_N: their classes.

    Returns:
        The teacher's ``ece`` (percent), and of each student ``ece``, ``kl`` (nats), ``cka`` of the penultimate
        features and ``correlation_difference`` of the logits.
    """
    t, *others = extract([teacher, *students], batches)
    return {"ece": expected_calibration_error(t.logits_NC, labels_N)}, [
        {
            "ece": expected_calibration_error(s.logits_NC, labels_N),
            "kl": kl_divergence(s.logits_NC, t.logits_NC),
            "cka": linear_cka(s.feature_ND, t.feature_ND),
            "correlation_difference": correlation_difference(s.logits_NC, t.logits_NC),
        }
        for s in others
    ]
