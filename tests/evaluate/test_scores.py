import torch
from torch import nn

from crcd.data.batch import Batch
from crcd.evaluate.accuracy import top1
from crcd.evaluate.predict import predict
from crcd.evaluate.scorer import Scorer


def test_top1_in_percent():
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 2.0], [0.0, 5.0]])
    assert top1(logits, torch.tensor([0, 1, 1, 1])) == 75.0


class Counting(nn.Module):
    """Its logits: the images; counts its calls, and fails in train mode."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, image):
        assert not self.training
        self.calls += 1
        return image.flatten(1)


def batches():
    rows = torch.eye(5)[:, :, None, None]
    return [Batch(rows[:3], torch.arange(3), torch.arange(3)), Batch(rows[3:], torch.arange(3, 5), torch.arange(3, 5))]


def test_predictions_of_all_batches_in_order():
    one, two = Counting(), Counting()
    logits = predict([one, two], batches())
    assert [torch.equal(each, torch.eye(5)) for each in logits] == [True, True]


def test_the_teacher_is_computed_once():
    teacher, student = Counting(), Counting()
    scorer = Scorer(batches, torch.tensor([0, 1, 2, 3, 0]), teacher)
    assert scorer([student]) == scorer([student]) == [{"top1": 80.0, "agreement": 100.0}]
    assert scorer.teacher_top1 == 80.0
    assert (teacher.calls, student.calls) == (2, 4)


def test_without_teacher_there_is_no_agreement():
    scorer = Scorer(batches, torch.arange(5), None)
    assert scorer([Counting()]) == [{"top1": 100.0}]
    assert scorer.teacher_top1 is None
