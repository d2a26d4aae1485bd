"""How far a student decides as its teacher does."""

from torch import Tensor


def agreement(student_logits_NC: Tensor, teacher_logits_NC: Tensor) -> float:
    """100/N * number of images for which both name the same class, percent (Stanton et al. 2021, section 3)."""
    same = (student_logits_NC.argmax(dim=1) == teacher_logits_NC.argmax(dim=1)).sum()
    return 100 * same.item() / len(student_logits_NC)
