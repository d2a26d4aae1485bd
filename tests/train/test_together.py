"""A step and a run come to the same in one, two and four processes."""

from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest
import torch

from crcd.data import UNLABELLED, relabelled, subset
from crcd.methods import METHODS
from crcd.methods.crd import CRDConfig
from crcd.models import create_model
from crcd.relation.config import RelationConfig
from crcd.train.build import build_learners
from crcd.train.config import DistillConfig
from crcd.train.first_stage import first_stages
from crcd.train.material import Material
from crcd.train.teacher import Teacher
from together import together

CPU = torch.device("cpu")
BANKS = {"negatives": 16, "dim": 8}
CONFIG = DistillConfig(
    teacher="resnet8",
    student="resnet8",
    image_size=8,
    crop_padding=1,
    batch_size=8,
    momentum=0.0,
    epochs=2,
    device="cpu",
    crcd=RelationConfig(source="bank", **BANKS),
    crd=CRDConfig(**BANKS),
)
FROM_BANK = {"anchor_source": "bank", "positive_source": "bank"}
VARIANTS = {
    "whole banks": replace(CONFIG, methods=("ce", "kd", "sp", "crd+crcd")),
    "sharded banks": replace(
        CONFIG,
        methods=("crd", "crcd"),
        crcd=RelationConfig(source="bank", bank_rows="sharded", **FROM_BANK, **BANKS),
        crd=CRDConfig(bank_rows="sharded", **BANKS),
    ),
    "other relations": replace(
        CONFIG,
        methods=(
            "crcd@crcd.objective=nce,crcd.relation=mlp,crcd.gradient_head=affine",
            "crcd@crcd.source=queue",
            "crcd@crcd.remember=embeddings",
        ),
    ),
    "images of every kind": replace(
        CONFIG,
        methods=("ce", "crcd", "kd+crcd@crcd.source=queue,crcd.bank_rows=replicated"),
        crcd=RelationConfig(source="bank", bank_rows="sharded", gradient_weight=1.0, **BANKS),
        crop="random-resized",
        policy="randaugment",
        erasing=0.5,
        mixup=0.2,
        cutmix=1.0,
        balance="sampler",
    ),
    "every method": replace(CONFIG, methods=tuple(METHODS)),
    "own anchors": replace(
        CONFIG,
        methods=("crcd", "crcd@crcd.objective=nce,crcd.source=queue"),
        crcd=RelationConfig(source="bank", anchor_scope="local", **BANKS),
    ),
    **{
        f"own anchors, {rows} banks": replace(
            CONFIG,
            methods=("crcd",),
            crcd=RelationConfig(
                source="bank", remember="embeddings", anchor_scope="local", bank_rows=rows, **FROM_BANK, **BANKS
            ),
        )
        for rows in ("replicated", "sharded")
    },
    "own statistics": replace(CONFIG, methods=("ce", "kd"), sync_batchnorm=False),
    "in parts": replace(CONFIG, methods=("ce", "kd"), batch_parts=2),
}


def steps(variant: str):
    """Loss, gradients of the last step and state of all learners, after first stages and two steps in float64.

    In float32 the rounding of two ways to sum can lie on two sides of a ReLU.
    """
    config = VARIANTS[variant]
    material = Material.load(config, config.seed, CPU)
    images = subset(material.train, 60, 0)
    if config.balance == "sampler":  # every eighth is unlabelled
        images = relabelled(images, images.labels.where(torch.arange(60) % 8 > 0, UNLABELLED))
    loader = material.train_loader(images)
    torch.manual_seed(1)
    model = create_model("resnet8", 10, 1)
    models = model, deepcopy(model).double()
    single, double = (Teacher(own, CPU, config, maps=True, preactivations=True) for own in models)
    found = {}
    for learner in build_learners(config, material, images, single):
        for module in (learner.viewer, learner.method):
            if module is not None:
                module.double()
        batches = (replace(batch, image=batch.image.double()) for epoch in range(2) for batch in loader.epoch(epoch))
        for stage in (*first_stages(learner, config).values(), learner, learner):
            batch = next(batches)
            view = double(batch)
            stage.schedule(0.1, 1.0)
            stage.step(batch, lambda view=view: view)
        gradients = [parameter.grad for parameter in learner.optimiser.parameters()]
        state = learner.state_dict()
        found[learner.name] = (learner.totals.means(), gradients, state["student"], state["method"], state["stream"])
    return found


@cache
def alone(variant: str):
    return steps(variant)


def assert_alike(answer, expected, tolerance: float) -> None:
    assert answer.keys() == expected.keys()
    for learner, parts in answer.items():
        for part, wanted in zip(parts, expected[learner], strict=True):
            torch.testing.assert_close(
                part, wanted, rtol=tolerance, atol=tolerance, msg=lambda told, learner=learner: f"{learner}: {told}"
            )


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize(
    "variant",
    [
        "whole banks",
        "sharded banks",
        "other relations",
        "images of every kind",
        pytest.param("every method", marks=pytest.mark.slow),
    ],
)
def test_losses_gradients_weights_and_banks_are_those_of_one_process(variant, size):
    answers = together(size, steps, variant)
    assert_alike(answers[0], alone(variant), 1e-6)
    if VARIANTS[variant].crcd.bank_rows == "replicated":
        for answer in answers[1:]:
            assert_alike(answer, answers[0], 0)


@pytest.mark.parametrize("variant", ["own anchors", "own statistics", "in parts"])
def test_processes_stay_alike_where_their_number_shows(variant):
    one, other = together(2, steps, variant)
    assert_alike(one, other, 0)
    with pytest.raises(AssertionError, match=r"^(ce|kd|crcd): "):
        assert_alike(one, alone(variant), 1e-6)


def test_banks_in_shares_give_each_its_own_samples_rows():
    whole, shares = (together(2, steps, f"own anchors, {rows} banks")[0] for rows in ("replicated", "sharded"))
    assert_alike(shares, whole, 1e-6)
