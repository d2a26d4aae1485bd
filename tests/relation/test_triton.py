"""The Triton kernels against the oracle: in Triton's interpreter where there is no GPU."""

import importlib
import itertools
from types import SimpleNamespace

import pytest
import torch

from crcd.errors import CrcdError
from crcd.relation import Difference, Negatives, relation_contrast
from crcd.relation.kernels import choice
from relation_cases import case

triton = pytest.importorskip("triton", reason="Triton is not installed")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
NEEDS_GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cpu", reason="needs a CUDA device: the interpreter is too slow for real sizes"),
]
pytestmark = [pytest.mark.gpu] if DEVICE == "cuda" else []
VARIANTS = list(itertools.product(["infonce", "nce"], [False, True]))

SHAPES = [
    ("difference", (1, 1, 1, 2)),
    ("difference", (5, 17, 33, 16)),
    ("difference", (3, 66, 20, 5)),
    ("difference", (2, 4, 140, 40)),
    ("mlp", (1, 1, 1, 2)),
    ("mlp", (3, 5, 7, 3)),
    ("mlp", (2, 3, 70, 40)),
]


def run(inputs, kernel, dtype):
    """Loss, bound and all gradients."""
    query = inputs["query"].to(DEVICE, dtype).clone().requires_grad_()
    source, network = inputs["negatives"], inputs["network"]
    moved = (None if x is None else x.to(DEVICE) for x in (source.index_BK, source.excluded_BK, source.sample))
    if network is not None:
        network.to(DEVICE, dtype).zero_grad()
    contrast = relation_contrast(
        Difference() if network is None else network(),
        query,
        inputs["positive"].to(DEVICE, dtype),
        inputs["anchor"].to(DEVICE, dtype),
        Negatives(source.rows.to(DEVICE, dtype), *moved),
        inputs["objective"],
        weight_BA=inputs["weight"].to(DEVICE, dtype),
        anchor_sample_A=inputs["anchor_sample"].to(DEVICE),
        kernel=kernel,
    )
    contrast.loss.backward()
    parameters = [] if network is None else [p.grad.clone() for p in network.parameters()]
    return [contrast.loss.detach(), contrast.mi_bound, query.grad, *parameters]


def largest_difference(inputs, reference="oracle"):
    """Between float64 and Triton's float32, relative to the largest number of its tensor where that is above 1."""
    exact, found = run(inputs, reference, torch.float64), run(inputs, "triton", torch.float32)
    assert all(x.dtype == torch.float32 for x in found)
    pairs = zip(exact, found, strict=True)
    return max(((x - y).abs().max() / x.abs().max().clamp_min(1)).item() for x, y in pairs)


@pytest.mark.parametrize(("relation", "shape"), SHAPES, ids=str)
@pytest.mark.parametrize(("objective", "per_sample"), VARIANTS)
def test_triton_equals_oracle(relation, shape, objective, per_sample):
    """Sizes that fill no tile; anchors that are negatives; the mlp's hidden width takes two tiles."""
    hidden = 70 if shape[-1] > 16 else 6
    assert largest_difference(case(*shape, relation, objective, per_sample, hidden=hidden)) < 1e-5


@pytest.mark.parametrize("relation", ["difference", "mlp"])
def test_more_samples_than_a_tile_has(relation):
    assert largest_difference(case(70, 2, 3, 4, relation, "infonce", False)) < 1e-5


@pytest.mark.parametrize("relation", ["difference", "mlp"])
@pytest.mark.parametrize("per_sample", [False, True])
def test_few_programs_that_walk_over_many_tiles(monkeypatch, relation, per_sample):
    """As at large sizes: a program has several tiles of keys, and the mlp's anchors do not fit at once."""
    kernels = "crcd.relation.kernels.triton."
    for name in ("difference_shared", "difference_own", "mlp_sweeps"):
        monkeypatch.setattr(importlib.import_module(kernels + name), "PROGRAMS", 1)
    monkeypatch.setattr(importlib.import_module(kernels + "mlp_sweeps"), "RELATIONS", 2 * 150 * 8)
    assert largest_difference(case(2, 3, 150, 8, relation, "nce", per_sample)) < 1e-5


@pytest.mark.parametrize("relation", ["difference", "mlp"])
@pytest.mark.parametrize(("objective", "per_sample"), [("infonce", True), ("nce", False)])
def test_all_negatives_masked(relation, objective, per_sample):
    inputs = case(3, 4, 5, 6, relation, objective, per_sample)
    inputs["negatives"].excluded_BK.fill_(True)
    assert all(x.abs().max() == 0 for x in run(inputs, "triton", torch.float32))


@pytest.mark.parametrize("relation", ["difference", "mlp"])
@pytest.mark.parametrize("per_sample", [False, True])
def test_without_masks(relation, per_sample):
    inputs = case(3, 4, 5, 6, relation, "infonce", per_sample)
    source = inputs["negatives"]
    inputs["negatives"] = Negatives(source.rows, source.index_BK)
    assert largest_difference(inputs) < 1e-5


@pytest.mark.parametrize("relation", ["difference", "mlp"])
@pytest.mark.parametrize("per_sample", [False, True])
def test_the_same_input_gives_the_same_bits(relation, per_sample):
    inputs = case(3, 4, 40, 6, relation, "infonce", per_sample)
    first, second = run(inputs, "triton", torch.float32), run(inputs, "triton", torch.float32)
    assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))


@pytest.mark.parametrize(("objective", "per_sample"), [("infonce", False), ("nce", True)])
def test_split_products_are_as_accurate_as_float32(objective, per_sample):
    """The bound of the float32 gradient; the interpreter takes TF32 products as they are, but adds in float32."""
    inputs = case(8, 8, 64, 64, "difference", objective, per_sample)
    exact, found = run(inputs, "oracle", torch.float64)[2], run(inputs, "triton", torch.float32)[2]
    assert (exact - found).abs().max() < 2e-6 * exact.abs().max()


@pytest.mark.parametrize("relation", ["difference", "mlp"])
def test_float64_is_refused(relation):
    with pytest.raises(CrcdError, match="takes float32 elements, not float64"):
        run(case(3, 4, 5, 6, relation, "infonce", False), "triton", torch.float64)


@pytest.mark.parametrize(("relation", "per_sample"), [("mlp", False), ("difference", True)])
def test_too_wide_rows_are_refused(relation, per_sample):
    with pytest.raises(CrcdError, match="up to width 256 here, not 257: use kernel='auto'"):
        run(case(2, 2, 3, 257, relation, "infonce", per_sample), "triton", torch.float32)


def test_tensors_that_lie_on_no_gpu_are_refused(monkeypatch):
    monkeypatch.setattr(triton.knobs.runtime, "interpret", False)
    monkeypatch.setitem(globals(), "DEVICE", "cpu")
    with pytest.raises(CrcdError, match="needs elements on a CUDA device"):
        run(case(2, 2, 3, 4, "difference", "infonce", False), "triton", torch.float32)


@pytest.mark.parametrize("relation", ["difference", pytest.param("mlp", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("objective", "per_sample"), VARIANTS)
class TestOnAGPU:
    pytestmark = NEEDS_GPU

    def test_gradient_at_the_usual_size(self, relation, objective, per_sample):
        """Twice the float32 bound, for the tensor cores' additions; the mlp's ReLU and norm cost another digit."""
        k, bound = (16384, 4e-6) if relation == "difference" else (1024, 2e-5)
        inputs = case(64, 64, k, 128, relation, objective, per_sample, hidden=128)
        exact, found = run(inputs, "streaming", torch.float64), run(inputs, "triton", torch.float32)
        for x, y in zip(exact[2:], found[2:], strict=True):
            assert (x - y).abs().max() < bound * x.abs().max()

    def test_the_largest_width(self, relation, objective, per_sample):
        inputs = case(64, 64, 512, 256, relation, objective, per_sample, hidden=256)
        assert largest_difference(inputs, "streaming") < 1e-5

    def test_the_same_input_gives_the_same_bits(self, relation, objective, per_sample):
        inputs = case(64, 64, 4096, 128, relation, objective, per_sample, hidden=128)
        first, second = run(inputs, "triton", torch.float32), run(inputs, "triton", torch.float32)
        assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))


@pytest.mark.parametrize(("room", "widest"), [(65_536, 64), (101_376, 128), (166_912, 256), (232_448, 256)])
def test_a_gpu_with_less_shared_memory_takes_narrower_rows(monkeypatch, room, widest):
    properties = SimpleNamespace(shared_memory_per_block=49_152, shared_memory_per_block_optin=room)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    assert choice._widest(torch.device("cuda")) == widest
