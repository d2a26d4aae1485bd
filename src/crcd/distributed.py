"""Several processes that train as one, as ``torchrun`` starts them.

Each process reads its share of every batch with the student and the teacher; what they saw is gathered, and every
process then computes the same loss of the whole batch, whatever the method. The objective is the mean of the
processes' losses, so a gradient is right once it is averaged over them: ``gather`` hands each process the sum of what
all of them ask of its rows.

In a single process every function here gives back what it was given.
"""

import io
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from crcd import launch
from crcd.errors import CrcdError

T = TypeVar("T")

PATIENCE = timedelta(days=1)
"""How long a process waits for the others, as while the first one downloads; one that is lost is noticed before."""

_store: Store | None = None
"""What the processes share beside their messages; it outlives a process that is lost."""
_apart = False
"""Whether this process works by itself for a while."""


class ProcessLostError(CrcdError):
    """Another process of the run has ended before its time."""


def size() -> int:
    """How many processes train together."""
    if _apart:
        return 1
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0; the first one writes all files and speaks for all."""
    return dist.get_rank() if size() > 1 else 0


def local_rank() -> int:
    """Number of this process among those of its machine."""
    return int(os.environ.get("LOCAL_RANK", 0))


def program() -> str:
    """The words with which the command line is called."""
    if size() == 1:
        return "crcd"
    return f"torchrun --nproc-per-node {os.environ.get('LOCAL_WORLD_SIZE', size())} -m crcd"


@contextmanager
def together() -> Iterator[None]:
    """Inside, the processes that the environment tells of (``WORLD_SIZE``, as torchrun sets it) work as one.

    All but the first are silent, but for what ``speaks`` lets them say. Tensors of a CPU go over gloo, those of a GPU
    over NCCL.

    Raises:
        CrcdError: what the environment tells makes no sense.
        ProcessLostError: the others did not come.
    """
    global _store
    if launch.processes() <= 1:
        yield
        return
    with _messages():
        _store, number, count = next(rendezvous("env://"))
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, store=_store, rank=number, world_size=count, timeout=PATIENCE)
    if number > 0:
        logging.disable(logging.WARNING)
    with redirect_stdout(io.StringIO()) if number > 0 else nullcontext():
        yield
    dist.destroy_process_group()  # not after an error: where a process is lost, there is nobody to agree with


@contextmanager
def apart() -> Iterator[None]:
    """Inside, this process works as if it were the only one: what it does there has no part in the others' messages."""
    global _apart
    _apart = True
    try:
        yield
    finally:
        _apart = False


def speaks() -> bool:
    """Whether this process is the first to ask; only that one tells the user how the run ended."""
    if _store is None:
        number = os.environ.get("RANK", "")
        return not number.isdecimal() or int(number) == 0
    try:
        return int(_store.add("crcd/speakers", 1)) == 1
    except RuntimeError:  # the process that kept the store is lost
        return True


@contextmanager
def only_first_complains() -> Iterator[None]:
    """Inside, what all processes would write to standard error alike is written by the first one alone."""
    with redirect_stderr(io.StringIO()) if rank() > 0 else nullcontext():
        yield


def share(rows: Tensor) -> Tensor:
    """This process's part of the rows of a batch, in order, as many as every other's.

    Where they can't be divided evenly, the batch's first rows fill up the last parts; ``gather`` drops them.
    """
    if size() == 1:
        return rows
    each = -(-len(rows) // size())
    return rows[torch.arange(rank() * each, (rank() + 1) * each, device=rows.device) % len(rows)]


def own_rows(count: int) -> slice:
    """Where this process's share lies in a batch of ``count``.

    Raises:
        CrcdError: the processes can't divide the batch evenly.
    """
    if count % size():
        raise CrcdError(f"a batch of {count} can't be divided among {size()} processes: make it a multiple of that")
    each = count // size()
    return slice(rank() * each, (rank() + 1) * each)


def gather(part: Tensor, count: int) -> Tensor:
    """The parts of all processes, in the order of ``share``.

    Args:
        part: what this process has of each row of its share.
        count: rows of the whole batch.

    Returns:
        [count, ...], differentiable.
    """
    if size() == 1:
        return part
    whole: Tensor = _Gather.apply(part)
    return whole[:count]


class _Gather(torch.autograd.Function):
    """Parts to the whole; backward, each process receives the sum of all processes' gradients of its part."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        whole = part.new_empty(size() * len(part), *part.shape[1:])
        with _messages():
            dist.all_gather(list(whole.chunk(size())), part.contiguous())
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        return add(gradient.contiguous().clone()).chunk(size())[rank()]


def mean(tensor: Tensor) -> Tensor:
    """The mean of all processes' tensors; its gradient is each one's own, for ``average`` to make the mean of."""
    if size() == 1:
        return tensor
    found: Tensor = _Mean.apply(tensor)
    return found


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return add(tensor.clone()) / size()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def add(tensor: Tensor) -> Tensor:
    """The sum over the processes, in place."""
    if size() > 1:
        with _messages():
            dist.all_reduce(tensor)
    return tensor


@torch.no_grad()
def average(tensors: Sequence[Tensor]) -> None:
    """Replace tensors of one type by their means over the processes, all in one message."""
    if size() == 1 or not tensors:
        return
    mean = add(torch.cat([tensor.reshape(-1) for tensor in tensors])) / size()
    for tensor, part in zip(tensors, mean.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def send(tensor: Tensor, sender: int) -> Tensor:
    """The sender's tensor, in place of one of the same shape."""
    with _messages():
        dist.broadcast(tensor, sender)
    return tensor


def highest(number: int) -> int:
    """The largest of the processes' numbers."""
    if size() == 1:
        return number
    answer = torch.tensor(int(number))
    with _messages():
        dist.all_reduce(answer, dist.ReduceOp.MAX)
    return int(answer)


def first(work: Callable[[], T]) -> T:
    """What the first process's work gives or raises, in all of them; the others don't do it.

    All that depends on what lies in a run's folder is decided so.
    """
    if size() == 1:
        return work()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = work()
        except (CrcdError, OSError) as error:
            outcome[1] = error
    with _messages():
        dist.broadcast_object_list(outcome, 0, device=torch.device("cpu"))
    if outcome[1] is not None:
        raise outcome[1]
    answer: T = outcome[0]
    return answer


@contextmanager
def first_goes_ahead() -> Iterator[None]:
    """The first process does the work inside before the others: what it downloads or unpacks, they find."""
    if rank() > 0:
        highest(0)
    try:
        yield
    finally:
        if rank() == 0:
            highest(0)


@contextmanager
def _messages() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        told = " ".join(str(error).split())
        _, last, cause = told.partition("Last error: ")  # NCCL says what is wrong at its end
        reason = cause if last else re.sub(r"^\[\S+\] ", "", told).partition(". ")[0]
        raise ProcessLostError(f"another process of the run was lost ({reason[:160]})") from error
