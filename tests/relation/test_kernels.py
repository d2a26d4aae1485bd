"""Every kernel against the oracle, and the oracle against numbers worked out by hand."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crcd.relation import NCE, Difference, InfoNCE, Negatives, relation_contrast
from relation_cases import NATIVE, case, run

GRID = list(
    itertools.product([1, 5], [1, 4], [1, 7, 33], [3, 8], ["difference", "mlp"], ["infonce", "nce"], [False, True])
)


def difference(inputs: dict[str, object]) -> float:
    """Largest difference between the kernels, relative to the largest number of its tensor where that is above 1."""
    pairs = zip(run(inputs, "oracle"), run(inputs, "streaming"), strict=True)
    return max(((x - y).abs().max() / x.abs().max().clamp_min(1)).item() for x, y in pairs)


@pytest.mark.parametrize(("b", "a", "k", "d", "relation", "objective", "per_sample"), GRID)
def test_streaming_equals_oracle(b, a, k, d, relation, objective, per_sample):
    assert difference(case(b, a, k, d, relation, objective, per_sample)) < 1e-10


@pytest.mark.parametrize("objective", ["infonce", "nce"])
@pytest.mark.parametrize("per_sample", [False, True])
def test_streaming_equals_oracle_for_near_identical_rows(objective, per_sample):
    """Distances of 0.02 between rows, and below the 1e-3 at which they are clamped."""
    assert difference(case(5, 4, 9, 8, "difference", objective, per_sample, spread=0.01)) < 1e-10
    assert difference(case(5, 4, 9, 8, "difference", objective, per_sample, spread=1e-4)) < 1e-8


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 40),
    st.integers(3, 17),
    st.sampled_from(["difference", "mlp"]),
    st.sampled_from(["infonce", "nce"]),
    st.booleans(),
    st.integers(0, 10_000),
)
def test_streaming_equals_oracle_for_any_shape(b, a, k, d, relation, objective, per_sample, seed):
    assert difference(case(b, a, k, d, relation, objective, per_sample, seed=seed)) < 1e-10


@pytest.mark.parametrize("kernel", ["streaming", NATIVE])
@pytest.mark.parametrize("objective", ["infonce", "nce"])
@pytest.mark.parametrize("per_sample", [False, True])
def test_float32_gradient(kernel, objective, per_sample):
    inputs = case(16, 16, 256, 64, "difference", objective, per_sample)
    exact, single = run(inputs, "oracle")[2], run(inputs, kernel, torch.float32)[2]
    assert single.dtype == torch.float32
    assert (exact - single).abs().max() < 2e-6 * exact.abs().max()


@pytest.mark.parametrize("kernel", ["oracle", "streaming"])
@pytest.mark.parametrize("relation", ["difference", "mlp"])
@pytest.mark.parametrize("objective", ["infonce", "nce"])
def test_gradcheck(kernel, relation, objective):
    inputs = case(3, 4, 5, 6, relation, objective, False)
    network = inputs["network"]
    relation_now = Difference() if network is None else network()

    def loss(query: Tensor) -> Tensor:
        return relation_contrast(
            relation_now, query, inputs["positive"], inputs["anchor"], inputs["negatives"], inputs["objective"],
            weight_BA=inputs["weight"], kernel=kernel,
        ).loss  # fmt: skip

    assert torch.autograd.gradcheck(loss, inputs["query"].clone().requires_grad_())


@pytest.mark.parametrize(
    ("kernel", "relation"),
    [("streaming", "difference"), ("streaming", "mlp"), pytest.param(*NATIVE.values, "difference", marks=NATIVE.marks)],
)
@pytest.mark.parametrize("per_sample", [False, True])
def test_no_tensor_of_all_relations(kernel, relation, per_sample):
    """The largest tensor that a kernel makes is far below B * A * K numbers."""
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, (tuple, list)) else [out]:
                if isinstance(tensor, Tensor):
                    largest = max(largest, tensor.untyped_storage().nbytes() // tensor.element_size())
            return out

    inputs = case(64, 64, 2048, 4, relation, "infonce", per_sample)
    with Watch():
        run(inputs, kernel, torch.float32 if relation == "difference" else torch.float64)
    assert 0 < largest <= 64 * 64 * 2048 / 4


def test_infonce_by_hand():
    """Two anchors on the axes, one sample at the origin: cosines are known without the kernel."""
    anchor = torch.eye(2, dtype=torch.float64)
    query = torch.zeros(1, 2, dtype=torch.float64)
    positive = torch.tensor([[0.5, 0.0]], dtype=torch.float64)
    negatives = Negatives(torch.tensor([[2.0, 0.0]], dtype=torch.float64))
    tau = 0.5
    # anchor (1, 0): query points left, positive left, negative right; anchor (0, 1): all point down and to the right
    first = -math.log(math.exp(1 / tau) / (math.exp(1 / tau) + math.exp(-1 / tau)))
    cos_p, cos_n = 1 / math.sqrt(1.25), 1 / math.sqrt(5)
    second = -math.log(math.exp(cos_p / tau) / (math.exp(cos_p / tau) + math.exp(cos_n / tau)))
    for kernel in ("oracle", "streaming"):
        loss, bound = relation_contrast(
            Difference(), query.requires_grad_(), positive, anchor, negatives, InfoNCE(tau), kernel=kernel
        )
        assert loss.item() == pytest.approx((first + second) / 2, abs=1e-12)
        assert bound.item() == pytest.approx(math.log(2) - loss.item(), abs=1e-12)


def test_nce_by_hand():
    """L = -log(P0 / (P0 + K/N)) - log((K/N) / (P1 + K/N)) with P = exp(cos / tau) / Z."""
    anchor = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    query = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    positive, row = torch.tensor([[[0.5, 0.0]], [[2.0, 0.0]]], dtype=torch.float64)
    z, n, tau = 30.0, 10, 0.5
    p0, p1, q = math.exp(1 / tau) / z, math.exp(-1 / tau) / z, 1 / n
    expected = -math.log(p0 / (p0 + q)) - math.log(q / (p1 + q))
    objective = NCE(tau, torch.tensor(math.log(z), dtype=torch.float64), n)
    for kernel in ("oracle", "streaming"):
        loss, bound = relation_contrast(Difference(), query, positive, anchor, Negatives(row), objective, kernel=kernel)
        assert loss.item() == pytest.approx(expected, abs=1e-12)
        assert bound.item() == pytest.approx(math.log(1) + math.log(p0 / (p0 + q)), abs=1e-12)


@pytest.mark.parametrize("kernel", ["oracle", "streaming", NATIVE])
def test_excluded_negatives_change_nothing(kernel):
    inputs = case(4, 4, 6, 5, "difference", "infonce", False)
    excluded = inputs["negatives"].excluded_BK
    moved = inputs["negatives"].rows.clone()
    column = 2
    excluded[:, column] = True
    before = run(inputs, kernel, torch.float32)
    moved[column] = -moved[column]
    inputs["negatives"] = Negatives(moved, None, excluded, inputs["negatives"].sample)
    for x, y in zip(before, run(inputs, kernel, torch.float32), strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("kernel", ["oracle", "streaming", NATIVE])
def test_pairs_without_negatives_weigh_nothing(kernel):
    inputs = case(3, 2, 4, 5, "difference", "infonce", False)
    inputs["negatives"] = Negatives(inputs["negatives"].rows, None, torch.ones(3, 4, dtype=torch.bool))
    loss, bound, gradient = run(inputs, kernel, torch.float32)
    assert loss == 0
    assert bound == 0
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_temperature_too_low_for_float32():
    with pytest.raises(ValueError, match=r"0\.02 or more"):
        InfoNCE(0.01)


def test_count_leaves_out_excluded_and_anchors():
    rows = torch.randn(5, 3)
    excluded = torch.tensor([[True, False, False, False, False], [False, False, False, False, True]])
    shared = Negatives(rows, None, excluded, torch.arange(5))
    anchors = torch.tensor([0, 4, 9])
    assert shared.count(2, anchors, 3).tolist() == [[4, 3, 4], [3, 4, 4]]
    own = Negatives(rows, torch.tensor([[0, 1, 4], [2, 2, 4]]), None, torch.arange(5))
    assert own.count(2, anchors, 3).tolist() == [[2, 2, 3], [3, 2, 3]]


@pytest.mark.parametrize("kernel", ["oracle", "streaming"])
@pytest.mark.parametrize("relation", ["difference", "mlp"])
def test_teacher_elements_are_constants(kernel, relation):
    inputs = case(3, 2, 4, 5, relation, "infonce", False)
    constants = [inputs[name].requires_grad_() for name in ("positive", "anchor")]
    constants.append(inputs["negatives"].rows.requires_grad_())
    network = inputs["network"]
    query = inputs["query"].clone().requires_grad_()
    relation_contrast(
        Difference() if network is None else network(), query, *constants[:2], inputs["negatives"],
        inputs["objective"], kernel=kernel,
    ).loss.backward()  # fmt: skip
    assert query.grad is not None
    assert all(constant.grad is None for constant in constants)


@pytest.mark.parametrize("per_sample", [False, True])
def test_count_of_usable_negatives(per_sample):
    """Against a count pair by pair, with an anchor that stands twice and samples that are not known."""
    inputs = case(6, 9, 30, 3, "difference", "infonce", per_sample)
    negatives, anchor_sample = inputs["negatives"], inputs["anchor_sample"]
    anchor_sample[1] = anchor_sample[0]
    negatives.sample[3:5] = -1
    found = negatives.count(6, anchor_sample, 9)
    for i, j in itertools.product(range(6), range(9)):
        samples = negatives.sample if negatives.index_BK is None else negatives.sample[negatives.index_BK[i]]
        usable = [
            not excluded and (sample < 0 or sample != anchor_sample[j])
            for excluded, sample in zip(negatives.excluded_BK[i], samples, strict=True)
        ]
        assert found[i, j] == sum(usable)
