"""The step waits for nothing."""

from contextlib import contextmanager
from unittest.mock import patch

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from crcd.data import Mix
from crcd.train.step import Step
from step_cases import build


class NoReads(TorchDispatchMode):
    """Refuses what makes the host wait for a tensor's value: reads of it, and results whose size depends on it."""

    READS = (
        "_local_scalar_dense",
        "item",
        "is_nonzero",
        "equal",
        "nonzero",
        "masked_select",
        "unique_dim",
        "unique_consecutive",
        "_unique2",
        "bincount",
        "repeat_interleave",
    )

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in self.READS, name
        places = args[1] if name in ("index", "index_put", "index_put_", "_index_put_impl_") else ()
        assert all(place is None or place.dtype != torch.bool for place in places), f"{name} by a mask"
        return function(*args, **(kwargs or {}))


@contextmanager
def no_reads():
    def refuse(self, *words):
        raise AssertionError("the whole tensor")

    with patch.multiple(torch.Tensor, tolist=refuse, numpy=refuse), NoReads():
        yield


@pytest.mark.parametrize("objective", ["infonce", "nce"])
@pytest.mark.parametrize("source", ["bank", "queue", "batch"])
@pytest.mark.parametrize("mix", [None, Mix(0.2, 1.0, 0.5)])
@pytest.mark.parametrize("unlabelled", [False, True])
@pytest.mark.parametrize("head", ["linear", "standardised"])
def test_a_step_reads_no_value_from_the_device(objective, source, mix, unlabelled, head):
    step, loader = build(Step, objective=objective, source=source, head=head, mix=mix, unlabelled=unlabelled)
    inputs = list(loader.inputs(0))
    for first in inputs:  # the constant of nce is read once, when it is frozen, which takes negatives
        step(first, 0.05, 1.0)
    with no_reads():
        for more in inputs[:3]:
            step(more, 0.05, 1.0)


def test_nor_does_a_step_of_crd():
    step, loader = build(Step, names=("crd",))
    first, *more = loader.inputs(0)
    step(first, 0.05, 1.0)  # its constant is read once
    with no_reads():
        for inputs in more[:3]:
            step(inputs, 0.05, 1.0)


READS = {
    "_local_scalar_dense": lambda x: x.sum().item(),
    "is_nonzero|_local_scalar_dense": lambda x: bool(x.sum() > 0),
    "the whole tensor": lambda x: x.tolist(),
    "whole tensor": lambda x: x.numpy(),
    "index by a mask": lambda x: x[x > 1],
    "index_put_ by a mask": lambda x: x.index_put_((x > 1,), torch.zeros(())),
    "nonzero": lambda x: (x > 1).nonzero(),
    "_unique2": lambda x: x.unique(),
    "bincount": lambda x: x.long().bincount(),
    "repeat_interleave": lambda x: x.repeat_interleave(x.long()),
}


@pytest.mark.parametrize("found", READS)
def test_reads_are_found(found):
    x = torch.arange(3.0)
    with no_reads(), pytest.raises(AssertionError, match=found):
        READS[found](x)
