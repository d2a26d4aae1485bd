"""Views of a small student and a wider teacher for tests of methods, and what each method has to do with them."""

import torch
from torch import Tensor, nn

from crcd.data.batch import Batch
from crcd.methods.method import Method
from crcd.relation import View

BATCH, CLASSES, STUDENT_DIM, TEACHER_DIM = 6, 4, 5, 9
TARGET = torch.tensor([0, 3, 1, 2, 3, 0])


def logits(seed: int, batch: int = BATCH, classes: int = CLASSES) -> Tensor:
    return 3 * torch.randn(batch, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def view(width: int, seed: int) -> View:
    """A view whose feature and classifier both want gradients."""
    torch.manual_seed(seed)
    classifier = nn.Linear(width, CLASSES)
    feature = torch.randn(BATCH, width).relu().requires_grad_()
    return View(classifier(feature), feature, classifier)


def student_view() -> View:
    return view(STUDENT_DIM, 1)


def teacher_view() -> View:
    return view(TEACHER_DIM, 2)


def make_batch() -> Batch:
    return Batch(torch.zeros(BATCH, 1, 8, 8), TARGET, torch.arange(BATCH))


def check_gradients(method: Method, name: str) -> dict[str, Tensor]:
    """The method's terms, after its loss reached the student and all its own parameters and nothing of the teacher."""
    student, teacher = student_view(), teacher_view()
    terms = method(student, teacher, make_batch())
    terms["loss"].backward()
    assert student.feature.grad.norm() > 0
    assert all(parameter.grad.norm() > 0 for parameter in method.parameters())
    assert teacher.feature.grad is None
    assert all(parameter.grad is None for parameter in teacher.classifier.parameters())
    assert not any(value.requires_grad for part, value in terms.items() if part != "loss")
    assert torch.equal(terms[name], terms["loss"].detach())
    return terms
