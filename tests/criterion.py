"""A batch of views for CRCDLoss, and a criterion that has met all samples."""

import torch
from torch import nn

from crcd.relation import CRCDLoss, CRCDTerms, View

N, LABELS = 60, torch.arange(60) % 5


def views(seed: int = 0) -> tuple[View, View, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    index = torch.randperm(N)[:12]
    student_head, teacher_head = nn.Linear(6, 5), nn.Linear(9, 5)
    f_s, f_t = torch.randn(12, 6, requires_grad=True), torch.randn(12, 9)
    teacher = View(teacher_head(f_t).detach(), f_t, teacher_head)
    return View(student_head(f_s), f_s, student_head), teacher, LABELS[index], index


def forward(criterion: CRCDLoss, seed: int = 0) -> tuple[CRCDTerms, View, View]:
    student, teacher, target, index = views(seed)
    torch.manual_seed(seed)
    return criterion(student, teacher, target, index), student, teacher


def filled(criterion: CRCDLoss) -> CRCDLoss:
    """The criterion after it has met all samples once."""
    for seed in range(6):
        torch.manual_seed(seed)
        student, teacher, _, _ = views(seed)
        index = torch.arange(12) + 12 * (seed % 5)
        criterion(student, teacher, LABELS[index], index)
    return criterion
