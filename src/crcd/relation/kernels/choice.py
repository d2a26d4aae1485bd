"""Which kernel computes a problem."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor

from crcd.errors import CrcdError, unknown
from crcd.relation.kernels import native, oracle, streaming
from crcd.relation.kernels.problem import Problem
from crcd.relation.relations import MLP, Difference

Kernel = Literal["auto", "oracle", "streaming", "native", "triton"]

TRITON_SHARED_MEMORY = {128: 98_560, 256: 148_544}
"""Bytes of shared memory, at most, that a program of the Triton kernels takes where it keeps whole rows of such a width
at hand (compute capability 8.6; those that take more have more). Above 128 registers are spilled already."""


def choose(kernel: Kernel, p: Problem) -> Callable[[Problem], tuple[Tensor, Tensor, Tensor]]:
    """The kernel of a name; ``auto`` is Triton on a CUDA device, C on the CPU, and streaming where they can't run.

    Raises:
        CrcdError: no kernel has this name, or it can't compute this problem here.
    """
    if kernel not in get_args(Kernel):
        raise unknown("kernel", kernel, get_args(Kernel))
    if kernel == "auto":
        kernel = _fastest(p)
    if kernel == "oracle":
        return oracle.contrast
    if kernel == "streaming":
        return streaming.contrast
    if kernel == "native":
        if obstacle := _obstacle_to_native(p):
            raise CrcdError(f"the native kernel {obstacle}: use kernel='auto'")
        return native.contrast
    if obstacle := _obstacle_to_triton(p):
        raise CrcdError(f"the triton kernel {obstacle}: use kernel='auto'")
    from crcd.relation.kernels import triton

    return triton.contrast


def _fastest(p: Problem) -> Kernel:
    if p.query_BD.is_cuda and _obstacle_to_triton(p) is None:
        return "triton"
    return "native" if _obstacle_to_native(p) is None and native.available() else "streaming"


def _obstacle_to_native(p: Problem) -> str | None:
    """Why the kernel in C can't take these inputs; None when it can."""
    if not isinstance(p.relation, Difference):
        return "takes the difference relation"
    if p.query_BD.dtype != torch.float32 or p.query_BD.device.type != "cpu":
        return f"takes float32 elements on the CPU, not {_described(p.query_BD)}"
    return None


def _obstacle_to_triton(p: Problem) -> str | None:
    """Why the Triton kernels can't take these inputs; None when they can."""
    if find_spec("triton") is None:
        return "needs triton, which is not installed"
    if p.query_BD.dtype != torch.float32:
        return f"takes float32 elements, not {_described(p.query_BD)}"
    if isinstance(p.relation, MLP):
        width, what = len(p.relation.key_w), "relations"
    else:
        own = p.negatives.index_BK is not None
        width, what = (p.query_BD.shape[1] if own else 0), "elements with negatives of their own"
    widest = _widest(p.query_BD.device)
    if width > widest:
        return f"takes {what} up to width {widest} here, not {width}"
    return None


def _widest(device: torch.device) -> int:
    """Widest rows that the Triton kernels have room for."""
    if device.type != "cuda":  # Triton's interpreter has room for all
        return max(TRITON_SHARED_MEMORY)
    gpu = torch.cuda.get_device_properties(device)
    room = getattr(gpu, "shared_memory_per_block_optin", gpu.shared_memory_per_block)  # AMD's have but one size
    return max((width for width, taken in TRITON_SHARED_MEMORY.items() if taken <= room), default=64)


def _described(x: Tensor) -> str:
    return f"{str(x.dtype).removeprefix('torch.')} on {x.device.type}"
