"""What CRCD's critic sees: cosines of the relations of teacher and student in its embeddings.

Of a learner that contrasts relations and samples, the relations are looked at; of one of samples alone, the samples.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from crcd.errors import CrcdError
from crcd.methods import method_parts
from crcd.models import read_weights
from crcd.relation.config import RelationConfig
from crcd.relation.embedding import Embedding, Standardised
from crcd.relation.relations import Difference, MLPNetwork, Relation, key_relations, query_relations
from crcd.report.networks import Reading
from crcd.report.relations import BINS, evenly
from crcd.report.subject import Subject

IMAGES = 64
"""Images whose relations are drawn: each is query and anchor, and the others of another class are its negatives."""


class CriticCosines(NamedTuple):
    """cos of anchor-teacher and anchor-student relations, or of the samples of teacher and student.

    Attributes:
        positive: of the same image, relations each with each anchor, [P].
        negative: of images of another class, [Q].
    """

    positive: Tensor
    negative: Tensor

    def shares(self) -> dict[str, Tensor]:
        """Share of either kind in each of 40 bins from -1 to 1, percent."""
        counts = {name: torch.histc(x.clamp(-1, 1), BINS, -1, 1) for name, x in self._asdict().items()}
        return {name: 100 * count / count.sum().clamp(min=1) for name, count in counts.items()}


@torch.no_grad()
def critic_cosines(
    subject: Subject, learner: str, student: Reading, teacher: Reading, labels_N: Tensor
) -> dict[str, CriticCosines]:
    """The cosines of each element whose relations a learner contrasted, with its trained heads.

    Raises:
        CrcdError: the learner has no part of CRCD, or its heads can't be read.
    """
    if "crcd" not in method_parts(learner):
        raise CrcdError(f"{learner} has no relations to look into: choose a learner with crcd")
    run = subject.run(learner)
    heads = read_weights(run.folder.method_weights(learner))
    config: RelationConfig = run.config.method_settings(learner)["crcd"]
    index = evenly(len(labels_N), IMAGES)
    shrink = run.config.batch_size if config.gradient_head == "affine" else 1
    found = {}
    for element, x_s, x_t in (
        ("feature", student.feature_ND, teacher.feature_ND),
        ("gradient", student.gradient_ND / shrink, teacher.gradient_ND / shrink),
    ):
        own = {name.partition(f"relation.{element}.")[2]: tensor for name, tensor in heads.items()}
        if any(own):
            t_ND = _teacher_head(config, own, x_t)(x_t)
            found[element] = _cosines(config, own, x_s[index], t_ND[index], labels_N[index])
    return found


def _teacher_head(config: RelationConfig, state: dict[str, Tensor], teacher_NE: Tensor) -> Embedding | Standardised:
    """As it was trained; a standardised one is not, and standardises by the images that are looked at."""
    if config.teacher_head == "linear":
        return Embedding.trained(state, "teacher_head.")
    head = Standardised(teacher_NE.shape[1], normalise_first="student_head.linear.bias" not in state)
    head.learn(teacher_NE, torch.ones(len(teacher_NE), dtype=torch.bool))
    return head


def _cosines(
    config: RelationConfig, state: dict[str, Tensor], student_BE: Tensor, t_BD: Tensor, labels_B: Tensor
) -> CriticCosines:
    s_BD = Embedding.trained(state, "student_head.")(student_BE)
    other_BM = labels_B[:, None] != labels_B
    if config.sample_share == 1:
        cosine_BM = s_BD @ t_BD.T
        return CriticCosines(cosine_BM.diagonal(), cosine_BM[other_BM])
    relation = _relation(config, state)
    query_BAE = query_relations(relation, t_BD, s_BD)
    key_BAE = key_relations(relation, t_BD, t_BD[:, None])[:, :, 0]
    cosine_BAM = torch.einsum("bae,mae->bam", query_BAE, key_BAE)
    number = torch.arange(len(labels_B))
    away_BA = number[:, None] != number
    other_BAM = away_BA[:, :, None] & other_BM[:, None] & away_BA[None]
    return CriticCosines(cosine_BAM.diagonal(dim1=0, dim2=2).T[away_BA], cosine_BAM[other_BAM])


def _relation(config: RelationConfig, state: dict[str, Tensor]) -> Relation:
    if config.relation == "difference":
        return Difference()
    prefix = "student_term.network."
    own = {name.removeprefix(prefix): matrix for name, matrix in state.items() if name.startswith(prefix)}
    network = MLPNetwork(own["query_u"].shape[1], config.hidden)
    network.load_state_dict(own)
    relation: Relation = network()
    return relation
