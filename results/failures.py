r"""Which relations a student fails on: held-out images seen from one another, by how far apart the teacher has them.

python results/failures.py runs/small --learner crcd+kd@crcd.negatives=1024,crcd.sample_share=0.0 \
    --data-dir .data/cifar20 --out results/failures-cpu.json
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from crcd.errors import CrcdError
from crcd.evaluate.features import extract
from crcd.evaluate.pretrained import read_network
from crcd.models import read_weights
from crcd.relation.embedding import Embedding
from crcd.relation.relations import Difference, query_relations
from crcd.report.runs import Run, find_runs
from crcd.train.device import find_device
from crcd.train.material import Material
from crcd.train.outcome import commit

PARTS = 5
"""Parts of equal size of the pairs of one class, and of those of two, the nearest first."""
EVERY = 8
"""Each image of so many is an anchor."""


def main() -> None:
    """Write what was found in each run that has the learner."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of crcd compare")
    parser.add_argument("--learner", required=True, help="which, with the difference relation of features")
    parser.add_argument("--data-dir", required=True, type=Path, help="where the images lie")
    parser.add_argument("--out", required=True, type=Path, help="the file to write")
    options = parser.parse_args()
    if not options.out.parent.is_dir():
        parser.error(f"{options.out.parent}, where --out is to lie, is no folder")
    try:
        runs = [run for run in find_runs(options.runs) if options.learner in run.learners]
        if not runs:
            parser.error(f"no run here has a learner {options.learner}: see --methods of the comparison")
        found = [failures(run, options.learner, options.data_dir) for run in runs]
    except CrcdError as error:
        parser.error(str(error))
    result = {"learner": options.learner, "commit": commit(), "runs": found}
    options.out.write_text(f"{json.dumps(result, indent=1)}\n", encoding="utf-8")


@torch.no_grad()
def failures(run: Run, learner: str, data_dir: Path) -> dict[str, Any]:
    """What was found of the pairs of one class and of those of two, in fifths by the teacher's distance.

    Raises:
        CrcdError: the learner has no difference relations of features, or the data or its weights are not there.
    """
    own = run.config.method_settings(learner).get("crcd")
    if own is None or own.relation != "difference" or own.sample_share == 1 or own.feature_weight == 0:
        raise CrcdError(f"{learner} has no difference relations of features: name a learner with them")
    config = replace(run.config, data_dir=data_dir)
    material = Material.load(config, config.seed, find_device("cpu"))
    files = [run.folder.weights(name) for name in ("teacher", learner)]
    teacher, student = extract(
        [read_network(file).viewer for file in files], material.in_order(material.scored).epoch(0)
    )
    heads = read_weights(run.folder.method_weights(learner))
    t_ND = Embedding.trained(heads, "relation.feature.teacher_head.")(teacher.feature_ND)
    s_ND = Embedding.trained(heads, "relation.feature.student_head.")(student.feature_ND)
    labels_N, temperature = material.scored.labels, own.temperature
    numbers = torch.arange(0, len(labels_N), EVERY).tolist()
    one_class, two_classes = [], []
    for anchor in numbers:
        pairs = seen_from(anchor, s_ND, t_ND, labels_N, temperature)
        same_N = labels_N == labels_N[anchor]
        away_N = torch.arange(len(labels_N)) != anchor
        one_class.append(pairs[same_N & away_N])
        two_classes.append(pairs[~same_N])
    return {
        "seed": config.seed,
        "teacher": run.teacher["weights"],
        "one class": fifths(torch.cat(one_class)),
        "two classes": fifths(torch.cat(two_classes)),
    }


def seen_from(anchor: int, s_ND: Tensor, t_ND: Tensor, labels_N: Tensor, temperature: float) -> Tensor:
    """Of each image as seen from an anchor, [N, 4]: distance, whether its relation is found, loss, and pull.

    Its relation is found if among the teacher's relations of it and of all images of other classes to the anchor its
    own is the most like the student's. The loss is InfoNCE with the same keys, the pull the length of its gradient by
    the student's embedded feature, |1/tau (sum_k p_k r_k - r_0) without its part along r| / |s - a|.
    """
    query_ND, key_ND = (query_relations(Difference(), t_ND[anchor : anchor + 1], x)[:, 0] for x in (s_ND, t_ND))
    number = torch.arange(len(labels_N))
    left_out_NN = (labels_N[:, None] == labels_N) & (number[:, None] != number)
    left_out_NN[:, anchor] = True
    logits_NN = (query_ND @ key_ND.T / temperature).masked_fill(left_out_NN, -torch.inf)
    pull_ND = (logits_NN.softmax(dim=1) @ key_ND - key_ND) / temperature
    pull_ND = pull_ND - (pull_ND * query_ND).sum(dim=1, keepdim=True) * query_ND
    return torch.stack(
        (
            (t_ND - t_ND[anchor]).norm(dim=1),
            (logits_NN.argmax(dim=1) == number).float(),
            F.cross_entropy(logits_NN, number, reduction="none"),
            pull_ND.norm(dim=1) / (s_ND - t_ND[anchor]).norm(dim=1),
        ),
        dim=1,
    )


def fifths(pairs_P4: Tensor) -> list[dict[str, float]]:
    """Means of each fifth of the pairs, the nearest first."""
    parts = pairs_P4[pairs_P4[:, 0].argsort()].tensor_split(PARTS)
    names = ("distance", "found", "loss", "pull")
    return [
        {name: round(value, 4) for name, value in zip(names, part.mean(dim=0).tolist(), strict=True)} for part in parts
    ]


if __name__ == "__main__":
    main()
