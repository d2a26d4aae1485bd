"""What several processes tell one another."""

from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from crcd import distributed
from crcd.errors import CrcdError
from together import together

SIZES = [2, 4]


def parts_of_a_batch():
    rows = torch.arange(6).view(6, 1) * torch.ones(3, dtype=torch.long)
    return distributed.share(rows), distributed.gather(distributed.share(rows), 6)


@pytest.mark.parametrize("size", SIZES)
def test_parts_are_alike_in_size_and_make_the_whole(size):
    answers = together(size, parts_of_a_batch)
    numbers = [part[:, 0].tolist() for part, _ in answers]
    assert numbers == {2: [[0, 1, 2], [3, 4, 5]], 4: [[0, 1], [2, 3], [4, 5], [0, 1]]}[size]
    for _, whole in answers:
        assert whole[:, 0].tolist() == list(range(6))


def gradient_of_a_part():
    part = torch.ones(2, requires_grad=True)
    whole = distributed.gather(part, 2 * distributed.size())
    (whole * torch.arange(len(whole)) * (1 + distributed.rank())).sum().backward()
    return part.grad


def test_a_part_receives_what_all_ask_of_it():
    """Processes 1 and 2 have losses sum_i i x_i and 2 sum_i i x_i."""
    assert [gradient.tolist() for gradient in together(2, gradient_of_a_part)] == [[0, 3], [6, 9]]


def means():
    own = 1.0 + distributed.rank()
    maps = torch.full((2, 3, 4, 5), own).to(memory_format=torch.channels_last)
    maps += torch.arange(3)[:, None, None]
    tensors = [torch.full((3,), own), maps, torch.tensor(own)]
    distributed.average(tensors)
    return tensors, distributed.highest(distributed.rank()), distributed.add(torch.tensor(own)).item()


@pytest.mark.parametrize("size", SIZES)
def test_numbers_of_all(size):
    mean = (1 + size) / 2
    for (vector, maps, scalar), highest, total in together(size, means):
        assert vector.tolist() == [mean] * 3
        assert torch.equal(maps, (mean + torch.arange(3)[:, None, None]).expand(2, 3, 4, 5))
        assert scalar.item() == mean
        assert (highest, total) == (size - 1, mean * size)


def decisions(path):
    def mistake():
        raise CrcdError("no such thing")

    try:
        distributed.first(mistake)
    except CrcdError as error:
        told = str(error)
    with distributed.first_goes_ahead():
        was_there = path.exists()
        path.touch()
    return distributed.first(distributed.rank), told, was_there


def test_the_first_decides_and_goes_ahead(tmp_path):
    assert together(2, decisions, tmp_path / "file") == [(0, "no such thing", False), (0, "no such thing", True)]


def test_processes_wait_for_a_long_download(monkeypatch):
    """By default gloo gives up after half an hour."""
    given = {}
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "rendezvous", lambda address: iter([(None, 0, 2)]))
    monkeypatch.setattr(distributed, "_store", None)
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **options: given.update(options))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    with distributed.together():
        pass
    assert given["timeout"] >= timedelta(days=1)


def test_a_single_process_is_left_alone():
    tensor = torch.ones(3)
    assert distributed.share(tensor) is tensor
    assert distributed.gather(tensor, 3) is tensor
    assert distributed.add(tensor) is tensor
    assert (distributed.size(), distributed.rank(), distributed.highest(4)) == (1, 0, 4)


def work_of_the_first_apart():
    if distributed.rank() == 0:
        with distributed.apart():
            assert (distributed.size(), distributed.rank()) == (1, 0)
            assert distributed.gather(torch.ones(3), 3).tolist() == [1, 1, 1]
    return distributed.size(), distributed.gather(torch.ones(1), 2).tolist()


def test_one_process_may_work_as_if_alone_and_come_back():
    assert together(2, work_of_the_first_apart) == [(2, [1, 1])] * 2
