"""A step of some learners under one teacher, and steps of it."""

import torch

from crcd.data import CropFlip, Loader, TensorImages
from crcd.methods.crcd import CRCD
from crcd.methods.crd import CRD, CRDConfig
from crcd.methods.kd import KD, KDConfig
from crcd.models import Viewer, create_model
from crcd.relation.config import RelationConfig
from crcd.train.learner import Learner
from crcd.train.options import ComputeOptions, OptimiserOptions
from crcd.train.randomness import RandomStream
from crcd.train.teacher import Teacher

CPU = torch.device("cpu")
CLASSES = 5


def build(
    kind,
    device=CPU,
    objective="infonce",
    source="bank",
    relation="difference",
    head="linear",
    mix=None,
    unlabelled=False,
    names=("ce", "kd", "crcd"),
):
    """A step of learners under one teacher, and its loader; the same whenever it is built."""
    g = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (96, 1, 8, 8), generator=g, dtype=torch.uint8)
    images = TensorImages(pixels, torch.arange(96) % (CLASSES + unlabelled) - int(unlabelled))
    loader = Loader(
        images, 12, augment=CropFlip(1), mix=mix, mean=(0.5,), std=(0.5,), device=device, seed=0, train=True
    )  # fmt: skip
    torch.manual_seed(0)
    teacher = Teacher(create_model("resnet8", CLASSES, 1), device, ComputeOptions())
    learners = []
    own = {"dim": 16} if head == "linear" else {"teacher_head": head}
    config = RelationConfig(negatives=20, objective=objective, source=source, relation=relation, **own)
    methods = {
        "ce": lambda: None,
        "kd": lambda: KD(KDConfig()),
        "crcd": lambda: CRCD(config, 64, 64, images.labels),
        "crd": lambda: CRD(CRDConfig(negatives=20, dim=16), 64, 64, images.labels),
    }
    for name in names:
        stream = RandomStream(0, device)
        with stream.active():
            viewer = Viewer(create_model("resnet8", CLASSES, 1))
            method = methods[name]()
        learners.append(Learner(name, viewer, method, OptimiserOptions(), stream, device, ComputeOptions()))
    return kind(loader, teacher, learners), loader


def train(step, loader, epochs=2):
    """Epochs with a rate of their own, distillation in all but the last."""
    for epoch in range(epochs):
        for number, inputs in enumerate(loader.inputs(epoch)):
            step(inputs, 0.05 / (epoch + number + 1), float(epoch < epochs - 1))
    return step.learners
