"""Weighted samples follow the law of successive sampling, exactly, and never hold an edge twice."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.sampling import Rule
from gnnscale.store.adjacency import Adjacency, quantise
from tests.sampling.graphs import BACKENDS, keys_for, one_hub, with_weights

WEIGHTED = Rule("weighted")


def hub_with(weights: list[float]) -> Adjacency:
    """One node whose neighbor at position i is i, of these weights."""
    return with_weights(one_hub(len(weights)), quantise(np.array(weights), max(weights)).tolist())


def samples(adjacency: Adjacency, fanout: int, count: int, rule: Rule = WEIGHTED, backend: str = "numba"):
    """Neighbors of the hub under many keys, ``[count, fanout]``."""
    anchors = np.full(count, len(adjacency.neighbors), np.int32)
    frontier = np.zeros((count, 1), np.int32)
    return BACKENDS[backend](adjacency, frontier, anchors, keys_for(count), fanout, rule)[0][:, 0]


def law(weights: list[float], fanout: int) -> dict[tuple[int, ...], float]:
    """Chance of every ordered sample: each draw in proportion to weight among what is left."""
    chances = {}
    for order in itertools.permutations(range(len(weights)), fanout):
        chance, left = 1.0, sum(weights)
        for i in order:
            chance, left = chance * weights[i] / left, left - weights[i]
        chances[order] = chance
    return chances


def chi_square(found: np.ndarray, chances: dict[tuple[int, ...], float]) -> float:
    """Of ordered samples ``[count, fanout]``, in standard deviations from what chance gives."""
    orders, counts = np.unique(found, axis=0, return_counts=True)
    seen = dict(zip(map(tuple, orders.tolist()), counts.tolist(), strict=True))
    expected = {order: chance * len(found) for order, chance in chances.items()}
    assert set(seen) <= set(expected) and min(expected.values()) > 5
    statistic = sum((seen.get(order, 0) - e) ** 2 / e for order, e in expected.items())
    freedom = len(expected) - 1
    return (statistic - freedom) / np.sqrt(2 * freedom)


CASES = [([1, 2, 3, 10], 2), ([5, 1, 1, 1, 1], 3), ([1, 1, 1, 1], 3), ([1, 20], 1), ([3, 1, 4, 1, 5], 4)]


@pytest.mark.parametrize(("weights", "fanout"), CASES)
def test_ordered_samples_follow_successive_sampling(weights, fanout):
    # The draws are fixed; 5 deviations are under one in ten thousand even for few degrees of freedom.
    assert chi_square(samples(hub_with(weights), fanout, 60_000), law(weights, fanout)) < 5


@pytest.mark.parametrize(("weights", "fanout"), [CASES[0], CASES[1], CASES[4]])
def test_the_test_tells_other_laws_apart(weights, fanout):
    nearly = [weights[0] * 1.1, *weights[1:]]
    assert chi_square(samples(hub_with(nearly), fanout, 60_000), law(weights, fanout)) > 5
    assert chi_square(samples(hub_with(weights), fanout, 60_000, Rule("uniform")), law(weights, fanout)) > 100


def test_a_cap_draws_by_weight_among_the_latest():
    weights = [100, 7, 1, 2, 3, 10]
    found = samples(hub_with(weights), 2, 60_000, Rule("weighted", cap=4))
    assert chi_square(found - 2, law(weights[2:], 2)) < 5


def test_an_anchor_ends_the_candidates():
    weights = [1, 2, 3, 10, 1000, 1000]
    anchors, frontier = np.full(60_000, 3, np.int32), np.zeros((60_000, 1), np.int32)
    found, _ = BACKENDS["numba"](hub_with(weights), frontier, anchors, keys_for(60_000), 2, WEIGHTED)
    assert chi_square(found[:, 0], law(weights[:4], 2)) < 5


quanta = st.integers(1, 2) | st.integers(1, 2**32 - 1) | st.just(2**32 - 1)


@given(st.lists(quanta, min_size=2, max_size=60), st.integers(1, 59), st.sampled_from(["numba", "numpy"]))
@settings(max_examples=100, deadline=None)
def test_no_edge_comes_twice(weights, fanout, backend):
    found = samples(with_weights(one_hub(len(weights)), weights), fanout, 5, backend=backend)
    for sample in found:
        there = sample[sample >= 0]
        assert len(set(there.tolist())) == len(there) == min(fanout, len(weights))


@pytest.mark.parametrize("backend", BACKENDS)
def test_running_sums_past_64_bits_draw_the_same(backend):
    weights = [5, 2**32 - 1, 17, 2**31, 1]
    adjacency = with_weights(one_hub(5), weights)
    wrapped = Adjacency(
        adjacency.indptr, adjacency.neighbors, adjacency.times, adjacency.cumulative + np.uint64(2**64 - 2**32)
    )
    assert (np.diff(wrapped.cumulative.astype(float)) < 0).any()
    np.testing.assert_array_equal(samples(adjacency, 3, 500), samples(wrapped, 3, 500, backend=backend))


def test_weighted_samples_never_change():
    found = samples(hub_with([1 + i % 7 for i in range(50)]), 6, 3)
    assert found.tolist() == [[25, 35, 9, 6, 41, 47], [48, 33, 19, 30, 44, 37], [37, 13, 27, 32, 19, 42]]


positive = st.floats(2**-149, 2.0**127, width=32)


@given(st.lists(positive, min_size=1, max_size=20))
def test_quantised_weights_are_in_range_and_in_order(weights):
    array = np.array(weights, np.float32)
    found = quantise(array, float(array.max()))
    assert found.dtype == np.uint64 and found.min() >= 1 and found.max() == 2**32 - 1
    assert (np.diff(found[np.argsort(array)].astype(np.int64)) >= 0).all()
    for weight, quantum in zip(array.tolist(), found.tolist(), strict=True):
        assert quantum == max(1, int(weight / float(array.max()) * 4_294_967_295))
