"""The Triton kernels compile for GPUs as they are launched: their tiles fit shared memory and, on Hopper, registers."""

import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from crcd.relation.kernels.choice import TRITON_SHARED_MEMORY

pytestmark = pytest.mark.slow
pytest.importorskip("triton", reason="Triton is not installed")

SHARED_MEMORY = {86: 99 * 1024, 90: 227 * 1024}
"""Bytes that a program may have, by compute capability."""

KERNELS = {
    "shared": Counter(["products_kernel", "sums_kernel", "weights_kernel"]),
    "own": Counter(["gather_kernel"]),
    "mlp": Counter(["units_kernel", "sums_kernel", "units_kernel", "d_out_kernel", "d_hidden_kernel", "dw_kernel"]),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Of each kernel: kind, width, samples, name, bytes of shared memory, bytes of stack; by compute capability."""
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("cache"))}
    environment.pop("TRITON_INTERPRET", None)
    script = Path(__file__).parents[1] / "compile_triton.py"

    @cache
    def rows(capability):
        command = [sys.executable, script, str(capability)]
        answer = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
        found = map(str.split, answer.stdout.splitlines())
        return [(kind, int(d), int(b), name, int(shared), int(stack)) for kind, d, b, name, shared, stack in found]

    return rows


@pytest.mark.parametrize("kind", KERNELS)
def test_every_kernel_compiles(compiled, kind):
    """Without masks and with, and where every size is 1, of which Triton's launcher makes constants."""
    for width, batch, times in ((128, 64, 2), (256, 64, 1), (1, 1, 1)):
        names = Counter(name for k, d, b, name, _, _ in compiled(90) if (k, d, b) == (kind, width, batch))
        assert names == Counter({name: times * count for name, count in KERNELS[kind].items()})


@pytest.mark.parametrize("capability", SHARED_MEMORY)
def test_tiles_fit_shared_memory(compiled, capability):
    """Where ``auto`` takes the kernels for their width."""
    for kind, width, _, name, shared, _ in compiled(capability):
        takes = kind == "shared" or TRITON_SHARED_MEMORY.get(width, 0) <= SHARED_MEMORY[capability]
        assert shared <= SHARED_MEMORY[capability] or not takes, (kind, width, name)


def test_what_is_said_of_shared_memory_is_so(compiled):
    for width, taken in TRITON_SHARED_MEMORY.items():
        assert max(shared for kind, d, _, _, shared, _ in compiled(86) if d == width and kind != "shared") <= taken


def test_sums_stay_in_registers_at_width_128(compiled):
    """Triton 3.6 has two registers too many in some kernels, 3.8 in none."""
    assert max(stack for _, width, _, _, _, stack in compiled(90) if width == 128) <= 8
