"""Linear classifiers on frozen features."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_ITERATIONS = 500
TOLERANCE = 1e-5
STRENGTHS = tuple(10.0**-power for power in range(7))
"""Of the l2 term, from 1 to 1e-6, the strongest first."""


@dataclass(frozen=True)
class Protocol:
    """Stochastic gradient descent with Nesterov's momentum, the learning rate a tenth after each milestone."""

    epochs: int = 100
    lr: float = 0.1
    milestones: tuple[int, ...] = (30, 60, 90)
    momentum: float = 0.9
    batch_size: int = 64


SGD = Protocol()


class Linear(NamedTuple):
    """Logits W x + b.

    Attributes:
        weight_CD: W.
        bias_C: b.
    """

    weight_CD: Tensor
    bias_C: Tensor

    def __call__(self, x_ND: Tensor) -> Tensor:
        """Logits, [N, C]."""
        return F.linear(x_ND, self.weight_CD, self.bias_C)


class Standardiser:
    """x -> (x - mean) / standard deviation, each dimension by that of some features, float64.

    A dimension that varies by less than a millionth of its size, so by rounding alone, becomes 0.
    """

    def __init__(self, feature_ND: Tensor) -> None:
        x_ND = feature_ND.double()
        self.mean_D, std_D = x_ND.mean(dim=0), x_ND.std(dim=0, correction=0)
        self.factor_D = torch.where(std_D > 1e-6 * x_ND.abs().amax(dim=0), 1 / std_D, 0)

    def __call__(self, feature_ND: Tensor) -> Tensor:
        """Standardised features, [N, D]."""
        return (feature_ND.double() - self.mean_D) * self.factor_D


def fit_logistic(x_ND: Tensor, labels_N: Tensor, num_classes: int, l2: float, start: Linear | None = None) -> Linear:
    """Minimum of 1/N sum_i CE(W x_i + b, y_i) + l2/2 |W|^2 by L-BFGS, from ``start`` or 0, drawing nothing at random.

    It is scikit-learn's ``LogisticRegression`` with C = 1/(N l2), on whatever device the features are. It ends where
    no entry of the gradient exceeds 1e-5, a tenth of scikit-learn's tolerance, or after 500 iterations.

    Args:
        x_ND: standardised features, float64.
        labels_N: their classes.
        num_classes: C.
        l2: strength of the l2 term, without the bias.
        start: a solution nearby.
    """
    if start is None:
        start = Linear(x_ND.new_zeros(num_classes, x_ND.shape[1]), x_ND.new_zeros(num_classes))
    parameters = [tensor.clone().requires_grad_() for tensor in start]
    model = Linear(*parameters)
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=MAX_ITERATIONS,
        history_size=20,
        tolerance_grad=TOLERANCE,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(model(x_ND), labels_N) + l2 / 2 * model.weight_CD.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return Linear(*(tensor.detach() for tensor in parameters))


def fit_sgd(feature_ND: Tensor, labels_N: Tensor, num_classes: int, seed: int, protocol: Protocol = SGD) -> Linear:
    """A linear classifier of the features as they are, by the field's protocol of stochastic gradient descent.

    100 epochs in batches of 64, learning rate 0.1, a tenth of it after epochs 30, 60 and 90, Nesterov momentum 0.9, no
    weight decay; PyTorch's initial values of a linear layer. Tian et al. (CRD, ICLR 2020, section 4) have published no
    settings of their transfer table; these are in the code of Yang et al. (HSAKD, IJCAI 2021) for the same table, and
    mdistiller's maintainers too ask for no weight decay and for frozen batch normalisations. Departures from HSAKD:
    features are computed once, of whole images, where theirs are of random crops and flips; the last epoch counts, not
    the best on the test images; and pixels are normalised as in the network's own training.

    Args:
        feature_ND: penultimate features.
        labels_N: their classes.
        num_classes: C.
        seed: of initial values and order.
        protocol: these settings.
    """
    generator = torch.Generator().manual_seed(seed)
    bound = feature_ND.shape[1] ** -0.5
    parameters = [
        torch.empty(shape).uniform_(-bound, bound, generator=generator).to(feature_ND.device).requires_grad_()
        for shape in ((num_classes, feature_ND.shape[1]), (num_classes,))
    ]
    model = Linear(*parameters)
    optimizer = torch.optim.SGD(parameters, lr=protocol.lr, momentum=protocol.momentum, nesterov=True)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(protocol.milestones), gamma=0.1)
    for _ in range(protocol.epochs):
        order_N = torch.randperm(len(feature_ND), generator=generator).to(feature_ND.device)
        for index_B in order_N.split(protocol.batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(feature_ND[index_B]), labels_N[index_B]).backward()
            optimizer.step()
        schedule.step()
    return Linear(*(tensor.detach() for tensor in parameters))
