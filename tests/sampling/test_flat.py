"""A frontier sampled node by node, in any order and from tiles of the graph, gives what it gives as a whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.sampling import Rule
from gnnscale.sampling.backends.numba_backend import sample_flat
from gnnscale.store import ALWAYS, Adjacency
from tests.sampling.graphs import BACKENDS, keys_for, maybe_weighted, one_hub, rules


def tile_of(adjacency: Adjacency, first: int, end: int) -> Adjacency:
    """Rows ``first`` to ``end`` as a graph of their own, its arrays and its running sum beginning at 0."""
    low, high = adjacency.indptr[first], adjacency.indptr[end]
    weights = adjacency.cumulative
    return Adjacency(
        adjacency.indptr[first : end + 1] - low,
        adjacency.neighbors[low:high],
        adjacency.times[low:high],
        None if weights is None else weights[low : high + 1] - weights[low],
    )


@given(maybe_weighted(), rules, st.data())
@settings(max_examples=150, deadline=None)
def test_every_entry_is_that_of_the_whole_frontier(adjacency, rule, data):
    rows = len(adjacency.degrees)
    batch, width, fanout = (data.draw(st.integers(1, 5)) for _ in range(3))
    flat = data.draw(st.lists(st.integers(-1, rows - 1), min_size=batch * width, max_size=batch * width))
    frontier = np.array(flat, np.int32).reshape(batch, width)
    anchors = np.array(data.draw(st.lists(st.integers(-10, 25), min_size=batch, max_size=batch)), np.int32)
    keys = keys_for(batch, data.draw(st.integers(0, 2**64 - 1)))
    expected = BACKENDS["numba"](adjacency, frontier, anchors, keys, fanout, rule)

    # [batch * width], in any order, then by the tile that holds the node.
    example, slot = np.divmod(np.array(data.draw(st.permutations(range(batch * width)))), width)
    cut = data.draw(st.integers(0, rows))
    for first, end in ((0, cut), (cut, rows)):
        own = (frontier[example, slot] >= first) & (frontier[example, slot] < end) | (frontier[example, slot] < 0)
        b, w = example[own], slot[own]
        tile = tile_of(adjacency, first, end)
        found = sample_flat(tile, frontier[b, w], anchors[b], keys[b], w, fanout, rule, first)
        for array, whole in zip(found, expected, strict=True):
            assert array.dtype == np.int32 and array.shape == (len(b), fanout)
            np.testing.assert_array_equal(array, whole[b, w])


def test_nothing_comes_of_nothing():
    none = np.zeros(0, np.int32)
    nodes, times = sample_flat(one_hub(3), none, none, keys_for(0), none.astype(np.int64), 4, Rule())
    assert nodes.shape == times.shape == (0, 4)
    absent = np.full(2, -1, np.int32)
    nodes, times = sample_flat(one_hub(3), absent, absent, keys_for(2), np.arange(2), 4, Rule(), first=7)
    assert (nodes == -1).all() and (times == ALWAYS).all()


@pytest.mark.parametrize("node", [4, 6])
def test_a_node_of_another_tile_is_a_fault_of_the_caller(node):
    nodes = np.array([node], np.int32)
    with pytest.raises(AssertionError):
        sample_flat(one_hub(3), nodes, nodes, keys_for(1), np.zeros(1, np.int64), 2, Rule(), first=5)
