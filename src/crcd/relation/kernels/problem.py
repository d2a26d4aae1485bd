"""What every kernel is given."""

from dataclasses import dataclass

from torch import Tensor

from crcd.relation.negatives import Negatives
from crcd.relation.objectives import Objective
from crcd.relation.relations import Relation


@dataclass(frozen=True)
class Problem:
    """One call of ``crcd.relation.contrast.relation_contrast``, whose arguments these are.

    Attributes:
        weight_BA: weight of each pair, summing to 1; 0 for pairs without a usable negative.
        count_BA: usable negatives of each pair.
    """

    relation: Relation
    query_BD: Tensor
    positive_BD: Tensor
    anchor_AD: Tensor
    negatives: Negatives
    weight_BA: Tensor
    count_BA: Tensor
    anchor_sample_A: Tensor | None
    objective: Objective
