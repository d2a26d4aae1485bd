import pytest
import torch

from crcd.data.batch import Batch
from crcd.evaluate.calibration import expected_calibration_error
from crcd.evaluate.features import extract
from crcd.evaluate.fidelity import correlation_difference, kl_divergence, linear_cka
from crcd.evaluate.students import score_students
from crcd.models import Viewer, create_model


@pytest.fixture(scope="module")
def images():
    return torch.randn(7, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def viewers():
    torch.manual_seed(0)
    return [Viewer(create_model(name, 4)).train() for name in ("resnet8x4", "resnet8", "timm/resnet18")]


def batches(images, sizes=(4, 3)):
    return (Batch(rows, torch.zeros(len(rows)), torch.arange(len(rows))) for rows in images.split(sizes))


def test_features_of_all_batches_in_order(viewers, images):
    found = extract(viewers, batches(images))
    for viewer, (feature_ND, logits_NC) in zip(viewers, found, strict=True):
        assert not viewer.training
        with torch.no_grad():
            torch.testing.assert_close(logits_NC, viewer.model(images))
            torch.testing.assert_close(viewer.model.get_classifier()(feature_ND), logits_NC)
    assert [feature_ND.shape for feature_ND, _ in found] == [(7, 256), (7, 64), (7, 512)]


def test_each_student_against_the_teacher(viewers, images):
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2])
    teacher, *students = viewers
    of_teacher, of_students = score_students(teacher, students, batches(images), labels)
    t, *others = extract(viewers, batches(images))
    assert of_teacher == {"ece": expected_calibration_error(t.logits_NC, labels)}
    for score, s in zip(of_students, others, strict=True):
        assert score == {
            "ece": expected_calibration_error(s.logits_NC, labels),
            "kl": kl_divergence(s.logits_NC, t.logits_NC),
            "cka": linear_cka(s.feature_ND, t.feature_ND),
            "correlation_difference": correlation_difference(s.logits_NC, t.logits_NC),
        }
    assert 0 < of_students[0]["cka"] < 1


def test_a_copy_of_the_teacher_is_wholly_faithful(viewers, images):
    _, (score,) = score_students(viewers[0], [viewers[0]], batches(images), torch.zeros(7, dtype=torch.int64))
    assert (score["kl"], score["correlation_difference"]) == (0, 0)
    assert score["cka"] == pytest.approx(1)
