"""Draws the pictures of docs/method.md: python docs/figures/method.py docs/figures."""

import torch
from drawing import draw
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crcd.relation import feature_gradient
from crcd.relation.embedding import Embedding

TEACHER, STUDENT, ANCHOR, OTHER = "#2166ac", "#d6604d", "#1b7837", "#b0b0b0"
CLASSES, WIDTH, BATCH, DIM = 100, 64, 64, 128
"""Those of CIFAR-100, of resnet20 and of the usual settings."""


def relations() -> Figure:
    """An anchor, a sample as both networks place it, negatives, and the angle that the loss looks at."""
    figure = Figure(figsize=(7.5, 3.3), layout="constrained")
    before, after = figure.subplots(1, 2)
    anchor, positive = (0.0, 0.0), (0.95, 0.62)
    negatives = [(0.75, -0.75), (-0.55, 0.85), (-0.85, -0.45)]
    for axes, student, name in ((before, (0.35, 1.05), "before"), (after, (0.8, 0.66), "after")):
        for negative in negatives:
            _arrow(axes, anchor, negative, OTHER)
        _arrow(axes, anchor, positive, TEACHER)
        _arrow(axes, anchor, student, STUDENT)
        axes.plot(*anchor, "s", color=ANCHOR)
        axes.annotate("anchor $a_j$", anchor, (-0.1, -0.13), ha="right", color=ANCHOR)
        axes.annotate("teacher $t_i$", positive, (1.0, 0.62), color=TEACHER, va="center")
        above = student[1] > positive[1] + 0.1
        axes.annotate(
            "student $s_i$", student, (student[0], student[1] + 0.08), color=STUDENT, ha="center" if above else "right"
        )
        axes.annotate("negatives $t_k$", negatives[0], (0.8, -0.75), color="#707070", va="center")
        axes.set(xlim=(-1.15, 1.75), ylim=(-1, 1.25), aspect="equal", title=name)
        axes.axis("off")
    return figure


def bias() -> Figure:
    """How alike embedded gradients of a batch are, over the network's confidence, with both heads."""
    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    confidence = torch.linspace(0.02, 0.998, 40)
    torch.manual_seed(0)
    target, weight = torch.randint(CLASSES, (BATCH,)), 0.1 * torch.randn(CLASSES, WIDTH)
    noise = torch.randn(BATCH, CLASSES)
    heads = {kind: Embedding(WIDTH, DIM, bias=kind == "affine") for kind in ("affine", "linear")}
    names = {"affine": "affine head over the mean loss's gradients (released code)", "linear": "linear head (here)"}
    with torch.no_grad():
        for kind, head in heads.items():
            scale = 1 / BATCH if kind == "affine" else 1.0
            cosines = []
            for share in confidence:
                gradient = feature_gradient(_logits(noise, target, share), target, weight)
                embedded = head(scale * gradient)
                cosines.append((embedded.double() @ embedded.double().T)[~torch.eye(BATCH, dtype=torch.bool)].mean())
            axes.plot(
                confidence, 1 - torch.stack(cosines), color=STUDENT if kind == "affine" else TEACHER, label=names[kind]
            )
    axes.set(xlabel="probability of the true class", ylabel="1 - mean cosine", yscale="log", ylim=(1e-8, 10))
    axes.legend(loc="center", bbox_to_anchor=(0.5, 0.78))
    return figure


def _logits(noise: torch.Tensor, target: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Logits with a softmax of ``share`` at the true class, the rest spread over the others as the noise says."""
    others = noise.scatter(1, target[:, None], -torch.inf).log_softmax(dim=1) + torch.log(1 - share)
    return others.scatter(1, target[:, None], share.log().expand(len(target), 1))


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.6})
    axes.plot(*end, "o", color=colour, markersize=5)


FIGURES = {"relations": relations, "gradient-head": bias}


if __name__ == "__main__":
    draw(FIGURES, __doc__)
