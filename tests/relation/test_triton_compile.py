"""The Triton kernels compile for a Hopper GPU as they are launched: their tiles fit its shared memory and registers."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
pytest.importorskip("triton", reason="Triton is not installed")

SHARED_MEMORY = 227 * 1024
"""Bytes that a program may have on such a GPU."""

KERNELS = {
    "shared": Counter(["products_kernel", "sums_kernel", "weights_kernel"]),
    "own": Counter(["gather_kernel"]),
    "mlp": Counter(["units_kernel", "sums_kernel", "units_kernel", "d_out_kernel", "d_hidden_kernel", "dw_kernel"]),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Of each kernel: kind, width, samples, name, bytes of shared memory, bytes of stack."""
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("cache"))}
    environment.pop("TRITON_INTERPRET", None)
    script = Path(__file__).parents[1] / "compile_triton.py"
    answer = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    rows = map(str.split, answer.stdout.splitlines())
    return [(kind, int(d), int(b), name, int(shared), int(stack)) for kind, d, b, name, shared, stack in rows]


@pytest.mark.parametrize("kind", KERNELS)
def test_every_kernel_compiles(compiled, kind):
    """Without masks and with, and where every size is 1, of which Triton's launcher makes constants."""
    for width, batch, times in ((128, 64, 2), (256, 64, 1), (1, 1, 1)):
        names = Counter(name for k, d, b, name, _, _ in compiled if (k, d, b) == (kind, width, batch))
        assert names == Counter({name: times * count for name, count in KERNELS[kind].items()})


def test_tiles_fit_shared_memory(compiled):
    assert max(shared for *_, shared, _ in compiled) <= SHARED_MEMORY


def test_sums_stay_in_registers_at_width_128(compiled):
    """Triton 3.6 has two registers too many in some kernels, 3.8 in none."""
    assert max(stack for _, width, _, _, _, stack in compiled if width == 128) <= 8
