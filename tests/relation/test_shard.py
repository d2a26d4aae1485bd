"""Banks of which each process holds its share, and banks in half precision."""

import pytest
import torch
from torch.nn import functional as F

from crcd import distributed
from crcd.errors import CrcdError
from crcd.relation.bank import Bank
from crcd.relation.source import Elements
from together import together

LABELS = torch.arange(10) % 3


def elements(index: torch.Tensor, seed: int) -> Elements:
    g = torch.Generator().manual_seed(seed)
    rows = [F.normalize(torch.randn(len(index), 4, generator=g), dim=1) for _ in range(2)]
    return Elements(rows[0], rows[1], LABELS[index], index, torch.arange(len(index)) != 1)


def steps(half: bool, sharded: bool):
    """What a bank gives in three steps, and its state afterwards, which a new bank then continues."""
    torch.manual_seed(0)
    settings = {"exact": True, "shared": True, "momentum": 0.5, "unit": True, "half": half, "sharded": sharded}
    bank = Bank(LABELS, (4, 4), 5, **settings)
    given = []
    for seed, index in enumerate([[0, 9, 4], [9, 1, 8], [0, 4, 5]]):
        batch = elements(torch.tensor(index), seed)
        drawn = bank.draw(batch)
        given += [drawn.teacher.rows, drawn.student.rows, *bank.rows(batch.index_B)]
        bank.update(batch)
    state = bank.state_dict()
    whole = distributed.first(lambda: state)
    other = Bank(LABELS, (4, 4), 5, **settings)
    other.load_state_dict(whole)
    held = bank.student_ND[:-1] if bank.shard is not None else bank.student_ND
    given += other.rows(torch.arange(10))
    return given, state, held


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("size", [2, 4])
def test_a_sharded_bank_gives_the_same_bits_as_a_whole_one(half, size):
    given, state, held = steps(half, False)
    answers = together(size, steps, half, True)
    for other_given, other_state, _ in answers:
        assert all(torch.equal(a, b) for a, b in zip(given, other_given, strict=True))
        assert other_state["seen_N"].equal(state["seen_N"])
    _, saved, _ = answers[0]
    assert all(tensor.equal(saved[name]) for name, tensor in state.items())
    each = -(-10 // size)
    assert all(other_held.shape == (each, 4) for _, _, other_held in answers)
    assert torch.cat([other_held for _, _, other_held in answers])[:10].equal(held)


def test_half_precision_keeps_rows_to_eleven_bits():
    given, state, _ = steps(True, False)
    exact, _, _ = steps(False, False)
    assert state["teacher_ND"].dtype == torch.float16
    for rows, wanted in zip(given, exact, strict=True):
        assert rows.dtype == torch.float32
        torch.testing.assert_close(rows, wanted, rtol=0, atol=2 * 2**-11)
    assert not torch.equal(given[0], exact[0])


def test_four_banks_of_imagenet_in_half_precision_take_less_than_1_4_gb():
    rows = 10_000
    bank = Bank(
        torch.arange(rows) % 1000, (128, 128), 4096, exact=True, shared=True, momentum=0.5, unit=True, half=True
    )
    held = sum(buffer.numel() * buffer.element_size() for buffer in bank.buffers())
    assert 2 * held * 1_281_167 / rows < 1.4e9


@pytest.mark.parametrize("setting", ["half", "sharded"])
def test_negatives_of_each_samples_own_need_a_whole_bank_in_float32(setting):
    with pytest.raises(CrcdError, match="set shared, or bank_precision to float32 and bank_rows to replicated"):
        Bank(LABELS, (4, 4), 3, exact=True, shared=False, momentum=0.5, unit=True, **{setting: True})
