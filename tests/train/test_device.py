import pytest
import torch

from crcd import distributed
from crcd.errors import CrcdError
from crcd.train.device import describe, find_device


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine of two GPUs, as far as asked, for so many processes of which this one has a number."""

    def pretend(processes, number):
        monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "set_device", lambda number: None)
        monkeypatch.setattr(distributed, "size", lambda: processes)
        monkeypatch.setenv("LOCAL_RANK", str(number))

    return pretend


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_process_takes_the_gpu_of_its_number(two_gpus, name):
    two_gpus(4, 1)
    assert find_device(name) == torch.device("cuda:1")
    assert find_device("cpu") == torch.device("cpu")
    two_gpus(1, 0)
    assert find_device("cuda:1") == torch.device("cuda:1")


def test_gpus_that_processes_cannot_have(two_gpus):
    two_gpus(4, 2)
    with pytest.raises(CrcdError, match="process 3 of this machine has no GPU, there are 2: start 2"):
        find_device("auto")
    with pytest.raises(CrcdError, match="--device is cuda:1, for 4 processes: give cuda"):
        find_device("cuda:1")


def test_in_words(monkeypatch):
    count = torch.get_num_threads()
    threads = f"cpu ({count} thread{'s' * (count > 1)})"
    assert describe(torch.device("cpu")) == threads
    monkeypatch.setattr(distributed, "size", lambda: 4)
    assert describe(torch.device("cpu")) == f"{threads}, 4 processes"
