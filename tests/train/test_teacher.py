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
