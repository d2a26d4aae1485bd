"""The native kernel against the oracle, its arithmetic, its threads, and what happens where it cannot run."""

import itertools
import logging
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crcd.errors import CrcdError
from crcd.relation import NCE, InfoNCE
from crcd.relation.kernels import library, native
from relation_cases import case, needs_compiler, run

KINDS = list(itertools.product(["infonce", "nce"], [False, True]))


@pytest.fixture
def threads(monkeypatch):
    """torch.set_num_threads, undone afterwards; meanwhile the smallest work is divided."""
    monkeypatch.setattr(native, "GRAIN", 1)
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def error(inputs, kernel="native"):
    """Largest difference from the oracle in float64, relative to the largest number where that is above 1."""
    pairs = zip(run(inputs, "oracle"), run(inputs, kernel, torch.float32), strict=True)
    return max(((x - y).abs().max() / x.abs().max().clamp_min(1)).item() for x, y in pairs)


@needs_compiler
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 2), (3, 5, 7, 3), (5, 17, 33, 16), (2, 70, 40, 20), (7, 6, 1111, 24)], ids=str
)
@pytest.mark.parametrize(("objective", "per_sample"), KINDS)
@pytest.mark.parametrize("count", [1, 2])
def test_native_equals_oracle(shape, objective, per_sample, count, threads):
    threads(count)
    assert error(case(*shape, "difference", objective, per_sample)) < 3e-6


@needs_compiler
@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 1100),
    st.integers(8, 17),
    st.sampled_from(KINDS),
    st.integers(0, 10_000),
)
def test_native_equals_oracle_for_any_shape(b, a, k, d, kind, seed):
    assert error(case(b, a, k, d, "difference", *kind, seed=seed)) < 3e-5


@needs_compiler
@pytest.mark.parametrize(("objective", "per_sample"), KINDS)
@pytest.mark.parametrize("spread", [0.01, 1e-4])
def test_near_identical_rows(objective, per_sample, spread):
    """Distances of 0.02 between rows, and below the 1e-3 at which they are clamped: as near as PyTorch's float32."""
    inputs = case(5, 4, 9, 8, "difference", objective, per_sample, spread=spread)
    assert error(inputs) < 1.5 * error(inputs, "streaming") < 2e-3


@needs_compiler
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("objective", [InfoNCE(0.02), NCE(0.02, torch.tensor(0.0), 50)], ids=["infonce", "nce"])
def test_largest_exponentials(objective, per_sample):
    """Every sample is its positive and one of the negatives: cosines reach 1, and exp(1 / tau) is e^50."""
    inputs = case(6, 5, 40, 8, "difference", "infonce", per_sample)
    inputs["objective"], inputs["positive"] = objective, inputs["query"]
    inputs["negatives"].rows[:6] = inputs["query"]
    assert error(inputs) < 2e-5


@needs_compiler
@pytest.mark.parametrize(("objective", "per_sample"), KINDS)
def test_threads_change_nothing_that_matters(objective, per_sample, threads):
    inputs = case(6, 10, 700, 16, "difference", objective, per_sample)
    threads(1)
    alone = run(inputs, "native", torch.float32)
    threads(2)
    together, again = (run(inputs, "native", torch.float32) for _ in range(2))
    for x, y, z in zip(alone, together, again, strict=True):
        torch.testing.assert_close(y, x, rtol=1e-5, atol=1e-6)
        assert torch.equal(y, z)


def sweep(logit_BK, nce):
    """What the two sweeps make of one anchor with these logits, to base 2: sums [4, B, 1] and push [B, K]."""
    batch, keys = logit_BK.shape
    zero, one = torch.zeros(batch, keys), torch.ones(batch, keys)
    sums, push = torch.full((4, batch, 1), math.nan), torch.full((batch, keys), math.nan)
    tensors = (logit_BK, zero, one, zero, one, zero, one, sums, push)
    block = native._Block(*(x.data_ptr() for x in tensors), nce, batch, 1, keys, keys)
    threads = native._threads(batch, 1, keys)
    native._library().crcd_sum(block, threads)
    native._library().crcd_push(block, threads)
    return sums[..., 0], push


@needs_compiler
def test_exponential():
    """2^x within 2e-7 of its value, exactly 0 where a key is masked, NaN where a logit is."""
    logit = torch.linspace(-126, 127, 100_003)[None]
    exact = torch.exp2(logit.double())
    assert ((sweep(logit, nce=False)[1] - exact) / exact).abs().max() < 2e-7
    masked = torch.full((1, 40), -1e25)
    assert torch.equal(sweep(masked, nce=False)[1], torch.zeros_like(masked))
    assert sweep(torch.full((1, 40), math.nan), nce=False)[1].isnan().all()
    assert (sweep(torch.full((1, 40), 1e12), nce=False)[1] == 2.0**127).all()


@needs_compiler
def test_logarithm():
    """log2(1 + 2^x) within 3e-7, or of its value where that is above 1; 16 equal negatives fill a vector."""
    logit = torch.linspace(-60, 120, 9_001)[:, None].expand(-1, 16).contiguous()
    exact = torch.log2(1 + torch.exp2(logit[:, 0].double()))
    found = sweep(logit, nce=True)[0][1] / 16
    assert ((found - exact) / exact.clamp_min(1)).abs().max() < 3e-7
    assert sweep(torch.full((1, 40), math.nan), nce=True)[0].isnan().all()


@needs_compiler
def test_parts_do_not_show(threads):
    """The sums and pushes are the same, bit for bit, however many threads share them."""
    logit = torch.randn(3, 1111, generator=torch.Generator().manual_seed(0))
    threads(1)
    alone = sweep(logit, nce=True)
    for count in (2, 3, 5):
        threads(count)
        assert all(map(torch.equal, alone, sweep(logit, nce=True)))


@needs_compiler
def test_auto_takes_it_for_float32_and_the_difference_relation(monkeypatch):
    taken = []
    contrast = native.contrast
    monkeypatch.setattr(native, "contrast", lambda problem: taken.append(problem) or contrast(problem))
    run(case(2, 2, 3, 4, "difference", "infonce", False), "auto", torch.float32)
    assert len(taken) == 1
    run(case(2, 2, 3, 4, "difference", "infonce", False), "auto", torch.float64)
    assert len(taken) == 1


@pytest.mark.parametrize(
    ("relation", "dtype", "what"),
    [
        ("difference", torch.float64, "float32 elements on the CPU, not float64 on cpu"),
        ("mlp", torch.float32, "the difference relation"),
    ],
)
def test_what_it_does_not_take_is_refused(relation, dtype, what):
    inputs = case(2, 2, 3, 4, relation, "infonce", False)
    if inputs["network"] is not None:
        inputs["network"].to(dtype)
    with pytest.raises(CrcdError, match=f"the native kernel takes {what}: use kernel='auto'"):
        run(inputs, "native", dtype)


def test_streaming_where_it_cannot_be_compiled(monkeypatch, caplog):
    """``auto`` says so once and goes on; ``native`` is refused with the reason."""

    def no_compiler(source):
        raise CrcdError("there is no C compiler")

    monkeypatch.setattr(library, "load", no_compiler)
    for cached in (native.available, native._library):
        cached.cache_clear()
    try:
        inputs = case(2, 2, 3, 4, "difference", "infonce", False)
        with caplog.at_level(logging.WARNING):
            found = [run(inputs, "auto", torch.float32) for _ in range(2)]
        assert [record.message for record in caplog.records] == [
            "the relation loss on the CPU runs several times slower than it could: there is no C compiler"
        ]
        assert all(map(torch.equal, found[0], run(inputs, "streaming", torch.float32)))
        with pytest.raises(CrcdError, match="there is no C compiler"):
            run(inputs, "native", torch.float32)
    finally:
        native.available.cache_clear()
