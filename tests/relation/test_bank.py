"""Which negatives each source gives, and what it remembers."""

import pytest
import torch
from torch.nn import functional as F

from crcd.errors import CrcdError
from crcd.relation.bank import Bank
from crcd.relation.queue import Queue
from crcd.relation.source import Elements, InBatch

LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])


def elements(index: torch.Tensor, seed: int = 0) -> Elements:
    g = torch.Generator().manual_seed(seed)
    rows = [F.normalize(torch.randn(len(index), 4, generator=g), dim=1) for _ in range(2)]
    return Elements(rows[0], rows[1], LABELS[index], index, torch.ones(len(index), dtype=torch.bool))


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_bank_gives_only_what_may_be_used(exact, shared):
    torch.manual_seed(0)
    bank = Bank(LABELS, (4, 4), 6, exact=exact, shared=shared, momentum=0.5, unit=True)
    batch = elements(torch.tensor([0, 1, 5]))
    seen = set()
    for _ in range(50):
        drawn = bank.draw(batch).teacher
        for i in range(3):
            rows = drawn.sample if drawn.index_BK is None else drawn.sample[drawn.index_BK[i]]
            if drawn.excluded_BK is not None:
                rows = rows[~drawn.excluded_BK[i]]
            assert batch.index_B[i] not in rows
            if exact:
                assert not (LABELS[rows] == batch.target_B[i]).any()
            seen |= set(rows.tolist())
        assert torch.equal(drawn.rows, bank.teacher_ND[drawn.sample])
    assert seen == set(range(10))


def test_every_row_has_the_same_chance():
    torch.manual_seed(0)
    bank = Bank(LABELS, (4, 4), 3, exact=False, shared=True, momentum=0.5, unit=True)
    drawn = torch.stack([bank.draw_rows(3) for _ in range(3000)])
    share = torch.bincount(drawn.flatten(), minlength=10) / drawn.numel()
    assert (share - 0.1).abs().max() < 0.012
    assert drawn.unique(dim=0).shape[0] > 20


def test_all_rows_are_drawn_when_as_many_are_asked_for():
    bank = Bank(LABELS, (4, 4), 6, exact=True, shared=True, momentum=0.5, unit=True)
    assert bank.draw_rows(10).tolist() == list(range(10))


@pytest.mark.parametrize(("exact", "most"), [(True, 6), (False, 9)])
def test_more_negatives_than_there_are(exact, most, caplog):
    said = [
        f"the settings have {most + 30} negatives, the data only {most} "
        + ("samples of other classes" if exact else "other samples")
    ]
    for _ in range(2):
        bank = Bank(LABELS, (4, 4), most + 30, exact=exact, shared=True, momentum=0.5, unit=True)
        assert bank.draw(elements(torch.tensor([0, 1]))).teacher.rows.shape == (most, 4)
        assert [message.partition(":")[0] for message in caplog.messages] == said


def test_no_sample_has_a_negative():
    with pytest.raises(CrcdError, match="none has a negative"):
        Bank(torch.zeros(5, dtype=torch.long), (4, 4), 3, exact=True, shared=True, momentum=0.5, unit=True)


def test_bank_update_mixes_by_momentum_and_replaces_at_first():
    bank = Bank(LABELS, (4, 4), 3, exact=True, shared=True, momentum=0.75, unit=True)
    untouched = bank.teacher_ND[1].clone()
    index = torch.tensor([0, 3])
    first, second = elements(index, 1), elements(index, 2)
    bank.update(first)
    torch.testing.assert_close(bank.teacher_ND[index], first.teacher_BD)
    bank.update(second)
    expected = F.normalize(0.75 * first.student_BD + 0.25 * second.student_BD, dim=1)
    torch.testing.assert_close(bank.student_ND[index], expected)
    assert torch.equal(bank.teacher_ND[1], untouched)


def test_elements_are_kept_as_they_are_and_drawn_once_they_are_met():
    bank = Bank(LABELS, (2, 3), 9, exact=False, shared=True, momentum=0.75, unit=False)
    index = torch.tensor([0, 3, 4])
    first, second = (
        Elements(7 * torch.rand(3, 2), torch.rand(3, 3), LABELS[index], index, torch.ones(3, dtype=torch.bool))
        for _ in range(2)
    )
    assert bank.draw(first).teacher.excluded_BK.all()
    bank.update(first)
    assert torch.equal(bank.student_ND[index], first.student_BD)
    bank.update(second)
    torch.testing.assert_close(bank.student_ND[index], 0.75 * first.student_BD + 0.25 * second.student_BD)
    drawn = bank.draw(second).teacher
    usable = [set(drawn.sample[~excluded].tolist()) for excluded in drawn.excluded_BK]
    assert all(own <= {0, 3, 4} - {sample} for own, sample in zip(usable, [0, 3, 4], strict=True))
    assert bank.has(torch.arange(10)).nonzero()[:, 0].tolist() == [0, 3, 4]


@pytest.mark.parametrize("shared", [True, False])
def test_of_a_bank_of_elements_only_what_was_met_is_used(shared):
    torch.manual_seed(0)
    bank = Bank(LABELS, (4, 4), 6, exact=True, shared=shared, momentum=0.5, unit=False)
    met = torch.tensor([0, 1, 5, 8])
    bank.update(elements(met))
    batch, seen = elements(torch.tensor([0, 1])), [set(), set()]
    for _ in range(50):
        drawn = bank.draw(batch).teacher
        for i in range(2):
            rows = drawn.sample if drawn.index_BK is None else drawn.index_BK[i]
            seen[i] |= set(rows[~drawn.excluded_BK[i]].tolist())
    assert seen == [{1, 5, 8}, {0, 5, 8}]


def test_of_a_sample_that_comes_twice_the_last_usable_element_is_kept():
    index, usable = torch.tensor([4, 2, 4, 4, 2]), torch.tensor([True, False, True, False, False])
    bank = Bank(LABELS, (4, 4), 3, exact=True, shared=True, momentum=0.5, unit=True)
    before = bank.teacher_ND.clone()
    batch = elements(index)._replace(usable_B=usable)
    bank.update(batch)
    torch.testing.assert_close(bank.teacher_ND[4], batch.teacher_BD[2])
    torch.testing.assert_close(bank.student_ND[4], batch.student_BD[2])
    assert torch.equal(bank.teacher_ND[2], before[2])
    assert bank.seen_N.nonzero().flatten().tolist() == [4]


def test_bank_without_index():
    bank = Bank(LABELS, (4, 4), 3, exact=True, shared=True, momentum=0.5, unit=True)
    with pytest.raises(CrcdError, match="pass index"):
        bank.draw(elements(torch.tensor([0]))._replace(index_B=None))


def test_queue_is_first_in_first_out():
    queue = Queue((4, 4), 5, exact=False)
    batches = [elements(torch.tensor(i), seed) for seed, i in enumerate([[0, 1, 2], [3, 4, 5]])]
    assert queue.draw(batches[0]).teacher.excluded_BK.all()
    queue.update(batches[0])
    queue.update(batches[1])
    drawn = queue.draw(batches[1]).teacher
    assert drawn.sample.tolist() == [5, 1, 2, 3, 4]
    torch.testing.assert_close(drawn.rows[0], batches[1].teacher_BD[2])
    torch.testing.assert_close(drawn.rows[1], batches[0].teacher_BD[1])
    assert drawn.excluded_BK.sum().item() == 3


def test_queue_exact_leaves_out_the_class():
    queue = Queue((4, 4), 3, exact=True)
    queue.update(elements(torch.tensor([0, 1, 2]))._replace(index_B=None))
    drawn = queue.draw(elements(torch.tensor([3]))._replace(index_B=None)).student
    assert drawn.excluded_BK.tolist() == [[True, False, False]]
    assert drawn.sample.tolist() == [-1, -1, -1]


@pytest.mark.parametrize("exact", [True, False])
def test_batch_gives_the_others(exact):
    batch = elements(torch.tensor([0, 1, 3]))
    excluded = InBatch(exact=exact).draw(batch).teacher.excluded_BK
    assert excluded.tolist() == [[True, False, exact], [False, True, False], [exact, False, True]]
