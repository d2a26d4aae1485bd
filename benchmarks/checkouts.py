"""Training steps of the peers' own code, imported from checkouts of the user's; none of it is copied here.

RepDistiller (CRD; Tian et al., ICLR 2020) is github.com/HobbitLong/RepDistiller, the released CRCD
github.com/Lechatelia/CRCD. Neither's ``train_student.py`` can be imported without its data, a trained teacher and, for
CRCD, a syntax error less; so networks, criteria and optimiser are put together here as it does, with its default
options, and the step is the peer's own ``helper.loops.train_distill`` on one batch. What had to be repaired stands in
``REPAIRED``; it is replaced while the peer runs and never in its files.
"""

import contextlib
import importlib
import io
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from crcd.methods.kd import distillation_loss
from timing import Step

NUM_CLASSES = 100
ON_CPU = "on the CPU: .cuda() does nothing and torch.cuda.is_available() is False"
REPAIRED = {
    "repdistiller": [ON_CPU],
    "crcd": [
        ON_CPU,
        "train_student.py does not parse (an unclosed string among the choices of --distill) and imports crrd, which "
        "does not exist: what it would put together is put together here",
        "DistillKL is used but neither defined nor imported: crcd.methods.kd.distillation_loss, the same formula",
        "helper.util.accuracy views a tensor that is not contiguous, an error in present PyTorch: another one",
        "with --grad_kd_type mse (its default) criterion_list[3] is read but never filled: None is there",
    ],
}
"""What was changed of each peer so that it runs."""
LEFT = {
    "repdistiller": ["negatives are drawn by the loader's workers, outside of the step: not counted"],
    "crcd": [
        "negatives are drawn by the loader's workers, outside of the step: not counted",
        "the teacher is in training mode, with its graph kept and differentiated",
        "the gradients' loss is multiplied with that of logit distillation where it should be added",
    ],
}
"""What of each peer is as its authors left it, though it bears on the time or the meaning of a step."""


@dataclass(frozen=True)
class Size:
    """Of a step: networks, batch B and number of training samples N."""

    teacher: str = "resnet56"
    student: str = "resnet20"
    batch: int = 64
    rows: int = 50_000


def check_checkout(flag: str, folder: Path) -> None:
    """Refuse a folder that is not the peer's."""
    criterion = folder / ("crd" if flag == "repdistiller" else "crcd") / "criterion.py"
    for path in (criterion, folder / "helper" / "loops.py", folder / "models" / "__init__.py"):
        if not path.is_file():
            raise SystemExit(f"error: --{flag} {folder}: there is no {path.relative_to(folder)}; give a checkout of it")


def commit(folder: Path) -> str:
    """The checkout's commit; empty where git does not know it."""
    return subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()


@contextmanager
def importing_from(folder: Path) -> Iterator[Callable[[str], ModuleType]]:
    """Gives a function that imports a checkout's modules, whose names (``crcd`` for one) may be those of others."""
    names = {path.stem for path in folder.iterdir()}

    def take_out() -> dict[str, ModuleType]:
        return {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] in names}

    others = take_out()
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(folder))
        take_out()
        sys.modules.update(others)


@contextmanager
def running_on(device: torch.device) -> Iterator[None]:
    """The peer's code runs on the device; what it prints and is warned of (old PyTorch names) is not shown."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        if device.type == "cpu":
            stack.enter_context(mock.patch.object(torch.cuda, "is_available", return_value=False))
            for kind in (Tensor, nn.Module):
                stack.enter_context(mock.patch.object(kind, "cuda", lambda self, *_, **__: self))
        yield


def _accuracy(output: Tensor, target: Tensor, topk: tuple[int, ...] = (1,)) -> list[Tensor]:
    """Per cent of the targets among the k largest outputs, one tensor [1] for each k."""
    hit_Bk = output.topk(max(topk), dim=1).indices == target[:, None]
    return [100 * hit_Bk[:, :k].any(dim=1).float().mean().reshape(1) for k in topk]


def _batch(size: Size, negatives: int) -> list[Tensor]:
    """Images, classes, sample numbers, and positives and negatives as the peers' loaders give them, on the host."""
    image = torch.randn(size.batch, 3, 32, 32)
    index_B = torch.randperm(size.rows)[: size.batch]
    contrast_BM = torch.cat([index_B[:, None], torch.randint(size.rows, (size.batch, negatives))], dim=1)
    return [image, index_B % NUM_CLASSES, index_B, contrast_BM]


def _trainer(
    loops: ModuleType,
    student: nn.Module,
    teacher: nn.Module,
    criteria: list[Any],
    batch: list[Tensor],
    options: SimpleNamespace,
    device: torch.device,
) -> Step:
    """The step of ``train_distill``: modules, criteria and optimiser in the order of ``train_student.py``."""
    contrasts = [criterion for criterion in criteria if hasattr(criterion, "embed_s")]
    trained = nn.ModuleList([student, *(embed for c in contrasts for embed in (c.embed_s, c.embed_t))])
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    modules = nn.ModuleList([*trained, teacher]).to(device)
    for criterion in contrasts:
        criterion.to(device)

    def step() -> None:
        with running_on(device):
            loops.train_distill(1, [batch], modules, criteria, optimizer, options)

    return step


def repdistiller_step(folder: Path, size: Size, negatives: int, device: torch.device) -> Step:
    """CRD as ``--distill crd -a 0 -b 0.8`` trains it."""
    torch.manual_seed(0)
    with importing_from(folder) as load, running_on(device):
        networks, loops = load("models").model_dict, load("helper.loops")
        student, teacher = (networks[name](num_classes=NUM_CLASSES) for name in (size.student, size.teacher))
        dims = {"s_dim": student.fc.in_features, "t_dim": teacher.fc.in_features, "feat_dim": 128}
        contrast = {"nce_k": negatives, "nce_t": 0.07, "nce_m": 0.5, "n_data": size.rows}
        options = SimpleNamespace(distill="crd", gamma=1, alpha=0, beta=0.8, print_freq=100, **dims, **contrast)
        criteria = [nn.CrossEntropyLoss(), load("distiller_zoo").DistillKL(4), load("crd.criterion").CRDLoss(options)]
        return _trainer(loops, student, teacher, criteria, _batch(size, negatives), options, device)


def _crcd_options(size: Size, negatives: int, dims: tuple[int, int], gradient: str) -> SimpleNamespace:
    contrast = {"nce_k": negatives, "nce_t": 0.05, "nce_m": 0.5, "n_data": size.rows, "embed_type": "linear"}
    weights = {"gamma": 1, "alpha": 0.9, "beta": 1.0, "with_grad": True, "grad_kd_weight": 1.0, "epochs": 250}
    widths = {"s_dim": dims[0], "t_dim": dims[1], "feat_dim": 128}
    return SimpleNamespace(distill="crcd", grad_kd_type=gradient, print_freq=100, **contrast, **weights, **widths)


def crcd_step(folder: Path, size: Size, negatives: int, gradient: str, device: torch.device) -> Step:
    """CRCD as ``--distill crcd --grad_kd_type mse`` (its default) or ``crcd`` (both elements contrasted) trains it."""
    torch.manual_seed(0)
    with importing_from(folder) as load, running_on(device):
        networks, loops, criterion = load("models").model_dict, load("helper.loops"), load("crcd.criterion")
        student, teacher = (networks[name](num_classes=NUM_CLASSES) for name in (size.student, size.teacher))
        dims = (student.fc.in_features, teacher.fc.in_features)
        options = _crcd_options(size, negatives, dims, gradient)

        def kd(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
            return distillation_loss(student_logits, teacher_logits, 4.0)

        of_gradients = criterion.CRCDLoss(options) if gradient == "crcd" else None
        criteria = [nn.CrossEntropyLoss(), kd, criterion.CRCDLoss(options), of_gradients]
        loops.accuracy = _accuracy
        return _trainer(loops, student, teacher, criteria, _batch(size, negatives), options, device)


def crcd_loss(folder: Path, size: Size, negatives: int, device: torch.device) -> Step:
    """The released loss of both elements alone, forward and backward, on random elements of width 64."""
    torch.manual_seed(0)
    with importing_from(folder) as load, running_on(device):
        criterion = load("crcd.criterion")
        options = _crcd_options(size, negatives, (64, 64), "crcd")
        losses = [criterion.CRCDLoss(options).to(device) for _ in range(2)]
    index_B, contrast_BM = (tensor.to(device) for tensor in _batch(size, negatives)[2:])
    student, teacher = torch.randn(2, size.batch, 64, device=device)
    student.requires_grad_()

    def step() -> None:
        with running_on(device):
            value = sum(loss(student, teacher, index_B, contrast_BM) for loss in losses)
            torch.autograd.grad(value, [student, *(p for loss in losses for p in loss.parameters())])

    return step
