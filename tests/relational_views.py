"""Views of one batch by a student and a teacher of different widths, and what every method must do with them."""

import torch
from torch import Tensor, nn

from crcd.data.batch import Batch
from crcd.methods.method import Method
from crcd.relation.view import View

B, C, N = 8, 5, 40
LABELS = torch.arange(N) % C


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def views(student_dim: int = 6, teacher_dim: int = 9, seed: int = 0) -> tuple[View, View, Batch]:
    """Leaves that ask for gradients, the teacher's too, so that a method which reaches them is found out."""
    index = torch.randperm(N, generator=torch.Generator().manual_seed(seed))[:B]
    batch = Batch(torch.zeros(B, 1, 1, 1), LABELS[index], index)

    def view(dim: int, channels: int, side: int, seed: int) -> View:
        feature, logits = (rows(B, width, seed=seed + width).float().requires_grad_() for width in (dim, C))
        shapes = {"stage1": (B, 2, 2 * side, 2 * side), "stage2": (B, channels, side, side)}
        maps = {name: rows(*shape, seed=seed).float().requires_grad_() for name, shape in shapes.items()}
        return View(logits, feature, nn.Linear(dim, C), maps)

    return view(student_dim, 3, 2, 10 * seed + 1), view(teacher_dim, 5, 4, 10 * seed + 2), batch


def assert_trains(method: Method, reads: str = "feature") -> dict[str, Tensor]:
    """Gradients reach what the method reads of the student and all its own parameters, none the teacher."""
    student, teacher, batch = views()
    terms = method(student, teacher, batch)
    terms["loss"].backward()
    leaf = student.feature if reads == "feature" else student.maps["stage2"]
    assert leaf.grad.isfinite().all()
    assert (leaf.grad.flatten(1).abs().sum(dim=1) > 0).all()
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    for tensor in (teacher.feature, teacher.logits, *teacher.maps.values(), *teacher.classifier.parameters()):
        assert tensor.grad is None
    assert not any(value.requires_grad for name, value in terms.items() if name != "loss")
    return {name: value.detach() for name, value in terms.items()}
