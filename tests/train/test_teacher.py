import torch
from torch import nn

from crcd.data import Batch
from crcd.models import create_model
from crcd.relation import View
from crcd.train.options import ComputeOptions
from crcd.train.teacher import Teacher


def view_of(model: nn.Module, image: torch.Tensor, **compute: object) -> View:
    number = torch.arange(len(image))
    return Teacher(model, torch.device("cpu"), ComputeOptions(**compute))(Batch(image, number, number))


def test_view_is_that_of_the_classifier_in_eval_mode():
    model = create_model("resnet8", 10, 1)
    image = torch.randn(4, 1, 16, 16)
    model(image)
    view = view_of(model, image)
    assert model.training
    torch.testing.assert_close(view.logits, model.eval()(image), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(view.classifier(view.feature), view.logits)


def test_a_student_can_learn_from_the_view():
    view = view_of(create_model("resnet8", 10, 1), torch.randn(4, 1, 16, 16))
    weight = nn.Parameter(torch.ones(10, view.feature.shape[1]))
    (view.feature @ weight.T * view.logits).sum().backward()
    assert weight.grad is not None
    assert not view.logits.requires_grad
    assert not any(parameter.requires_grad for parameter in view.classifier.parameters())


def test_holds_maps_and_preactivations_where_they_are_asked_for():
    batch = Batch(torch.randn(4, 1, 16, 16), torch.arange(4), torch.arange(4))
    model, cpu = create_model("resnet8", 10, 1), torch.device("cpu")
    bare, mapped, all_of_it = (
        Teacher(model, cpu, ComputeOptions(), **reads)(batch)
        for reads in ({}, {"maps": True}, {"maps": True, "preactivations": True})
    )
    assert not bare.maps
    assert list(mapped.maps) == ["stem", "stage1", "stage2", "stage3"]
    assert not mapped.preactivations
    assert list(all_of_it.preactivations) == ["stage1", "stage2", "stage3"]
    assert not any(each.is_inference() for each in (*all_of_it.maps.values(), *all_of_it.preactivations.values()))
