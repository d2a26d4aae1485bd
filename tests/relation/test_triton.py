"""The Triton kernel against the oracle: in Triton's interpreter where there is no GPU; and that it compiles for one."""

import itertools
import os
import subprocess
import sys

import pytest
import torch

from crcd.errors import CrcdError
from crcd.relation import Difference, Negatives, relation_contrast
from relation_cases import case

pytest.importorskip("triton", reason="Triton is not installed")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SHAPES = [(1, 1, 1, 2), (3, 5, 7, 3), (5, 17, 33, 16), (2, 70, 40, 20), (4, 4, 65, 130)]


def run(inputs, kernel, dtype):
    query = inputs["query"].to(DEVICE, dtype).requires_grad_()
    source = inputs["negatives"]
    moved = (None if x is None else x.to(DEVICE) for x in (source.index_BK, source.excluded_BK, source.sample))
    contrast = relation_contrast(
        Difference(),
        query,
        inputs["positive"].to(DEVICE, dtype),
        inputs["anchor"].to(DEVICE, dtype),
        Negatives(source.rows.to(DEVICE, dtype), *moved),
        inputs["objective"],
        weight_BA=inputs["weight"].to(DEVICE, dtype),
        anchor_sample_A=inputs["anchor_sample"].to(DEVICE),
        kernel=kernel,
    )
    (gradient,) = torch.autograd.grad(contrast.loss, query)
    return contrast.loss.detach(), contrast.mi_bound, gradient


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("objective", "per_sample"), list(itertools.product(["infonce", "nce"], [False, True])))
def test_triton_equals_oracle(shape, objective, per_sample):
    inputs = case(*shape, "difference", objective, per_sample)
    for exact, found in zip(run(inputs, "oracle", torch.float64), run(inputs, "triton", torch.float32), strict=True):
        assert found.dtype == torch.float32
        assert (exact - found).abs().max() < 1e-5 * exact.abs().max().clamp_min(1)


@pytest.mark.parametrize("objective", ["infonce", "nce"])
def test_all_negatives_masked(objective):
    inputs = case(3, 4, 5, 6, "difference", objective, False)
    inputs["negatives"].excluded_BK.fill_(True)
    loss, bound, gradient = run(inputs, "triton", torch.float32)
    assert (loss, bound, gradient.abs().max()) == (0, 0, 0)


def test_what_it_does_not_take_is_refused():
    with pytest.raises(CrcdError, match="float32 elements and the difference relation"):
        run(case(3, 4, 5, 6, "difference", "infonce", False), "triton", torch.float64)


COMPILE = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from crcd.relation.kernels.triton import PRECISION, _difference_kernel as kernel

flags = ("infonce", "has_index", "has_excluded", "has_sample")
sizes = {"min_square": 1e-6, "max_log_odds": 80.0, "block_a": 64, "block_k": 32, "block_d": 128, "precision": PRECISION}
kinds = {"index_ptr": "*i64", "sample_ptr": "*i64", "anchor_sample_ptr": "*i64", "excluded_ptr": "*i8"}
for value in (True, False):
    constants = sizes | dict.fromkeys(flags, value)
    kinds |= dict.fromkeys(constants, "constexpr") | {"temperature": "fp32"}
    signature = {n: kinds.get(n, "*fp32" if n.endswith("_ptr") else "i32") for n in kernel.arg_names}
    compiled = compile(ASTSource(kernel, signature, constexprs=constants), target=GPUTarget("cuda", 90, 32))
    print(len(compiled.asm["cubin"]), compiled.metadata.shared)
"""


def test_it_compiles_for_a_hopper_gpu(tmp_path):
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    answer = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    for line in answer.stdout.splitlines():
        binary, shared_memory = map(int, line.split())
        assert binary > 0
        assert shared_memory < 227 * 1024
    assert len(answer.stdout.splitlines()) == 2
