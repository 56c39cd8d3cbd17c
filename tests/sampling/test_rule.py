"""The sampling rule: all backends agree bit for bit, and every sample is what the words say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gnnscale.sampling import Rule
from gnnscale.schema import ConfigError
from gnnscale.store import ALWAYS, Adjacency
from tests.sampling.graphs import BACKENDS, frontier_of, keys_for, maybe_weighted, one_hub, rules


def allowed(adjacency: Adjacency, node: int, anchor: int) -> list[tuple[int, int]]:
    """(time, neighbor) of every edge that may be sampled, oldest first."""
    part = slice(adjacency.indptr[node], adjacency.indptr[node + 1])
    edges = zip(adjacency.times[part].tolist(), adjacency.neighbors[part].tolist(), strict=True)
    return [(time, neighbor) for time, neighbor in edges if time <= anchor]


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
@given(maybe_weighted(), rules, st.data())
@settings(max_examples=200, deadline=None)
def test_every_backend_gives_the_reference_sample_and_it_keeps_the_rule(backend, adjacency, rule, data):
    nodes = len(adjacency.degrees)
    batch, width = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    flat = data.draw(st.lists(st.integers(-1, nodes - 1), min_size=batch * width, max_size=batch * width))
    frontier = np.array(flat, np.int32).reshape(batch, width)
    anchors = np.array(data.draw(st.lists(st.integers(-10, 25), min_size=batch, max_size=batch)), np.int32)
    fanout = data.draw(st.integers(1, 9))
    keys = keys_for(batch, data.draw(st.integers(0, 2**64 - 1)))
    found, times = backend(adjacency, frontier, anchors, keys, fanout, rule)
    expected = BACKENDS["numpy"](adjacency, frontier, anchors, keys, fanout, rule)
    np.testing.assert_array_equal(found, expected[0])
    np.testing.assert_array_equal(times, expected[1])
    assert found.dtype == times.dtype == np.int32 and found.shape == (batch, width, fanout)
    for b in range(batch):
        for w in range(width):
            edges = allowed(adjacency, frontier[b, w], anchors[b]) if frontier[b, w] >= 0 else []
            edges = edges[-rule.cap :] if rule.cap else edges
            number = min(len(edges), fanout)
            sample = list(zip(times[b, w, :number].tolist(), found[b, w, :number].tolist(), strict=True))
            assert (found[b, w, number:] == -1).all() and (times[b, w, number:] == ALWAYS).all()
            # Taken away one by one, so that no edge may be there twice.
            left = list(edges)
            for edge in sample:
                left.remove(edge)
            if rule.strategy == "last" or len(edges) <= fanout:
                assert sample == edges[::-1][:number]


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_an_edge_stamped_at_its_anchor_counts_and_a_second_later_does_not(backend):
    frontier, anchors = frontier_of([0], [0], [0]), np.array([3, 2, -1], np.int32)
    found, _ = backend(one_hub(10), frontier, anchors, keys_for(3), 20, Rule("uniform"))
    assert found[:, 0].max(axis=1).tolist() == [3, 2, -1]
    assert (found[:, 0] >= 0).sum(axis=1).tolist() == [4, 3, 0]


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_last_takes_the_latest_first(backend):
    found, times = backend(one_hub(10), frontier_of([0]), np.array([6], np.int32), keys_for(1), 3, Rule("last"))
    assert found[0, 0].tolist() == times[0, 0].tolist() == [6, 5, 4]


def sample_many(degree: int, fanout: int, seeds: int, width: int = 1, cap: int | None = None) -> NDArray[np.int32]:
    """Uniform samples of one hub under many keys, ``[seeds, width, fanout]``."""
    frontier = np.zeros((seeds, width), np.int32)
    anchors = np.full(seeds, degree, np.int32)
    return BACKENDS["numba"](one_hub(degree), frontier, anchors, keys_for(seeds), fanout, Rule("uniform", cap))[0]


@pytest.mark.parametrize(
    ("degree", "fanout", "cap"),
    [(20, 5, None), (7, 6, None), (100, 1, None), (12, 10, None), (50, 5, 20), (8, 6, 7), (9, 3, 9), (9, 3, 40)],
)
def test_every_neighbor_is_as_likely_as_any_other(degree, fanout, cap):
    seeds = 4_000
    found = sample_many(degree, fanout, seeds, cap=cap)
    counts = np.bincount(found.ravel(), minlength=degree)
    assert counts.sum() == seeds * fanout
    if cap is not None and cap < degree:
        assert not counts[:-cap].any()
        counts, degree = counts[-cap:], cap
    share = fanout / degree
    # Sampling without replacement has a smaller variance than the multinomial, by this factor.
    chi_square = ((counts - seeds * share) ** 2 / (seeds * share)).sum() / (1 - share) * (degree - 1) / degree
    bound = degree - 1 + 5 * np.sqrt(2 * (degree - 1))
    assert chi_square < bound


def test_every_pair_is_as_likely_as_any_other():
    found = np.sort(sample_many(6, 2, 6_000)[:, 0], axis=1)
    _, counts = np.unique(found, axis=0, return_counts=True)
    assert len(counts) == 15
    assert ((counts - 400) ** 2 / 400).sum() < 14 + 5 * np.sqrt(28)


def test_parents_of_one_example_are_sampled_apart():
    found = np.sort(sample_many(30, 5, 200, width=2), axis=2)
    same = (found[:, 0] == found[:, 1]).all(axis=1)
    assert same.mean() < 0.02


def test_uniform_samples_never_change():
    assert sample_many(50, 6, 3)[:, 0].tolist() == [
        [22, 32, 8, 6, 40, 46],
        [44, 31, 18, 29, 48, 37],
        [32, 12, 25, 29, 19, 41],
    ]


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
@pytest.mark.parametrize("strategy", ["uniform", "last", "weighted"])
def test_a_cap_counts_back_from_the_anchor_and_leaves_earlier_edges_out(backend, strategy):
    anchors = np.full(300, 59, np.int32)
    found, _ = backend(one_hub(100), np.zeros((300, 1), np.int32), anchors, keys_for(300), 4, Rule(strategy, 10))
    assert (found.min(), found.max()) == ((56, 59) if strategy == "last" else (50, 59))


@pytest.mark.parametrize("cap", [1, 5])
def test_where_a_cap_leaves_no_more_than_the_fanout_all_come_latest_first(cap):
    found, _ = BACKENDS["numba"](one_hub(9), frontier_of([0]), np.array([7], np.int32), keys_for(1), 5, Rule(cap=cap))
    assert found[0, 0].tolist() == [7, 6, 5, 4, 3][:cap] + [-1] * (5 - cap)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"strategy": "weigted"}, "unknown sampling strategy 'weigted'. Did you mean 'weighted'"),
        ({"cap": 0}, "sampling cap is 0; at least 1"),
        ({"cap": -3}, "sampling cap is -3; at least 1"),
    ],
)
def test_a_rule_that_makes_no_sense_is_an_error(options, says):
    with pytest.raises(ConfigError, match=says):
        Rule(**options)
