"""How transferable the features of a network are: simple classifiers of them, for another data set."""

import math
import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

from crcd.evaluate.accuracy import top1
from crcd.evaluate.feature_set import FeatureOptions, FeatureSet
from crcd.evaluate.knn import NEIGHBOURS, TEMPERATURE, weighted_knn
from crcd.evaluate.linear import SGD, STRENGTHS, Linear, Standardiser, fit_logistic, fit_sgd
from crcd.train.options import require


@dataclass(frozen=True, kw_only=True)
class ProbeOptions(FeatureOptions):
    """How features are made and probed."""

    probes: tuple[Literal["linear", "sgd", "knn"], ...] = ("linear", "sgd", "knn")
    """Classifiers: linear is logistic regression by L-BFGS on standardised features, its l2 term chosen on held-out
    training images; sgd is the field's protocol, 100 epochs at a fixed learning rate; knn asks the 200 nearest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.probes) > 0, "probes", "empty", "name at least one, such as linear knn")


def probe(features: FeatureSet, options: ProbeOptions) -> dict[str, Any]:
    """What a network is, and of each probe of its features the test top-1 (percent) and how it came to that."""
    network = features.network
    entry: dict[str, Any] = {
        "run": str(network.run),
        "name": network.name,
        "model": network.architecture,
        "trained_on": network.data,
        "images": asdict(network.format),
        "feature_dim": features.test.feature_ND.shape[1],
    }
    for name in options.probes:
        began = time.monotonic()
        result = {"linear": _linear, "sgd": _sgd, "knn": _knn}[name](features, options)
        entry[name] = {**result, "seconds": round(time.monotonic() - began, 3)}
    return entry


def _linear(features: FeatureSet, _: ProbeOptions) -> dict[str, Any]:
    fit, held_out, num_classes = features.fit, features.held_out, features.num_classes
    standardise = Standardiser(fit.feature_ND)
    x_ND, held_out_MD = standardise(fit.feature_ND), standardise(held_out.feature_ND)
    solutions: dict[float, Linear] = {}
    accuracy: dict[float, float] = {}
    start: Linear | None = None
    for l2 in STRENGTHS:
        solutions[l2] = start = fit_logistic(x_ND, fit.labels_N, num_classes, l2, start)
        accuracy[l2] = top1(start(held_out_MD), held_out.labels_N)
    best = max(accuracy, key=accuracy.__getitem__)  # of equals the strongest
    train = features.train
    standardise = Standardiser(train.feature_ND)
    solution = fit_logistic(standardise(train.feature_ND), train.labels_N, num_classes, best, solutions[best])
    score = top1(solution(standardise(features.test.feature_ND)), features.test.labels_N)
    return {"top1": score, "l2": best, "held_out_top1": accuracy[best]}


def _sgd(features: FeatureSet, options: ProbeOptions) -> dict[str, Any]:
    solution = fit_sgd(*features.train, features.num_classes, options.seed)
    score = top1(solution(features.test.feature_ND), features.test.labels_N)
    return {"top1": None if math.isnan(score) else score, **asdict(SGD)}


def _knn(features: FeatureSet, _: ProbeOptions) -> dict[str, Any]:
    score_MC = weighted_knn(*features.train, features.test.feature_ND, features.num_classes)
    neighbours = min(NEIGHBOURS, len(features.train.labels_N))
    return {"top1": top1(score_MC, features.test.labels_N), "k": neighbours, "temperature": TEMPERATURE}
