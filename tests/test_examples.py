"""The examples run as scripts, and what they say of sample numbers holds."""

import importlib
import re
import runpy
from collections import Counter
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

import crcd
from crcd.methods.ab import ABConfig
from crcd.methods.fsp import FSPConfig
from crcd.methods.ft import FTConfig
from crcd.models import create_model
from pages import python_blocks

EXAMPLES = Path(__file__).parents[1] / "examples"
EXACT = "donot_use_mm_for_euclid_dist"
EXTRA = 'the extra is absent: pip install ".[examples]"'
NEEDS = {
    "plain_pytorch": (),
    "lightning_module": (("lightning", None),),
    "timm_task": (("timm", "1.0.31"),),
    "hf_trainer": (("transformers", None), ("accelerate", None)),
}


@pytest.fixture
def digits(monkeypatch):
    """The module that the examples share; a session trains its teacher once."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("digits")


def skip_without(example: str) -> None:
    for module, version in NEEDS[example]:
        pytest.importorskip(module, minversion=version, reason=EXTRA)


@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning:lightning")
@pytest.mark.filterwarnings("ignore:Found .* in eval mode:UserWarning:lightning")
@pytest.mark.parametrize("example", NEEDS)
def test_a_script_hands_every_number_to_the_method_and_ends_with_the_accuracy(example, digits, monkeypatch, capsys):
    skip_without(example)
    images, labels = digits.student_images().tensors
    before = deepcopy(digits.trained_teacher().state_dict())
    methods, initial, seen = [], [], Counter()

    def look(method: nn.Module, arguments: tuple[crcd.View, crcd.View, crcd.Batch]) -> None:
        batch = arguments[2]
        assert torch.equal(batch.image, images[batch.index])
        assert torch.equal(batch.target, labels[batch.index])
        seen.update(batch.index.tolist())

    def watched(*arguments: object) -> nn.Module:
        method = build_method(*arguments)
        method.register_forward_pre_hook(look)
        methods.append(method)
        initial.append(deepcopy(method.state_dict()))
        return method

    build_method = crcd.build_method
    monkeypatch.setattr(crcd, "build_method", watched)
    runpy.run_path(str(EXAMPLES / f"{example}.py"), run_name="__main__")

    accuracy = re.fullmatch(r"accuracy of the student: ([\d.]+) %", capsys.readouterr().out.splitlines()[-1])
    assert float(accuracy[1]) > 85
    assert seen == dict.fromkeys(range(len(labels)), 20), "every image once in each of 20 epochs"
    (method,) = methods
    assert all(not torch.equal(p, initial[0][name]) for name, p in method.named_parameters()), "heads are trained"
    assert set(method.methods.crcd.relation.feature.source.sample_K.tolist()) == set(range(len(labels)))
    teacher = digits.trained_teacher().state_dict()
    assert all(torch.equal(value, teacher[name]) for name, value in before.items()), "the teacher stays as it is"


def test_a_stream_has_no_numbers_and_fills_a_queue(digits, monkeypatch, capsys):
    pytest.importorskip("webdataset", reason=EXTRA)
    images, labels = digits.student_images().tensors
    known, seen, losses = digits.trained_teacher()(images), Counter(), []

    def look(loss: nn.Module, arguments: tuple[crcd.View, crcd.View, torch.Tensor]) -> None:
        _, teacher, target = arguments
        distance_B, number_B = torch.cdist(teacher.logits, known, compute_mode=EXACT).min(dim=1)
        assert distance_B.max() < 1e-3
        assert torch.equal(target, labels[number_B])
        seen.update(number_B.tolist())

    class Watched(crcd.CRCDLoss):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            losses.append(self)
            self.register_forward_pre_hook(look)

    monkeypatch.setattr(crcd, "CRCDLoss", Watched)
    runpy.run_path(str(EXAMPLES / "webdataset_stream.py"), run_name="__main__")
    accuracy = re.fullmatch(r"accuracy of the student: ([\d.]+) %", capsys.readouterr().out.strip())
    assert float(accuracy[1]) > 85
    assert seen == dict.fromkeys(range(len(labels)), 20), "every image once in each of 20 epochs"
    queue = losses[0].feature.source
    assert (queue.target_K >= 0).all(), "it is full"
    assert (queue.sample_K == -1).all(), "no sample has a number"


def test_timm_collates_the_numbers_and_a_checkpoint_holds_heads_and_banks(digits):
    skip_without("timm_task")
    from timm.data.loader import fast_collate
    from torch.utils.data import TensorDataset

    module = importlib.import_module("timm_task")
    image, labels = digits.student_images().tensors
    _, target = fast_collate([module.NumberedTargets(TensorDataset(image.byte(), labels))[i] for i in (3, 200)])
    assert target.tolist() == [[labels[3], 3], [labels[200], 200]]

    def task() -> nn.Module:
        student, teacher = (create_model("resnet8", num_classes=10, in_channels=1) for _ in range(2))
        return module.DistillationTask(student, teacher, image[:2], labels).train()

    trained, other = task(), task()
    trained(image[[3, 200]], target)
    state = trained.get_checkpoint_state()
    other.load_checkpoint_state(state["state_dict"], state["task_state"])
    kept = trained.trainable_module.state_dict()
    assert kept["method.methods.crcd.relation.feature.source.sample_K"].tolist()[:3] == [3, 200, -1]
    assert all(torch.equal(value, kept[name]) for name, value in other.trainable_module.state_dict().items())


@pytest.mark.parametrize("config", [FSPConfig, FTConfig, ABConfig])
def test_the_first_stages_of_the_readme(config, digits):
    (block,) = python_blocks(EXAMPLES / "README.md")
    names = {}
    exec(compile(block, "examples/README.md", "exec"), names)
    torch.manual_seed(0)
    images, labels = digits.student_images().tensors
    student, teacher = (
        crcd.Viewer(model, crcd.stage_names(model), preactivations=config is ABConfig)
        for model in (create_model("resnet8", num_classes=10, in_channels=1), digits.trained_teacher())
    )
    with torch.no_grad():
        views = student.eval()(images[:2]), teacher.eval()(images[:2])
    name = config.__name__.removesuffix("Config").lower()
    method = crcd.build_method({name: config(first_stage_epochs=3)}, *views, labels)
    losses = []

    def first_stage(*arguments):
        terms = type(method).first_stage(method, *arguments)
        losses.append(terms["loss"].item())
        return terms

    method.first_stage = first_stage
    index = torch.arange(50)
    loader = [(images[index], labels[index], index)] * 2
    names["train_first_stages"](method, student.train(), teacher, loader, lr=0.01)
    assert len(losses) == 6
    assert losses[-1] < losses[0]
