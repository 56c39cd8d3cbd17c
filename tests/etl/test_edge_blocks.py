"""Blocks of edges: dealt, unpacked and merged, they are the edges in order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.etl.edges.edge_blocks import BLOCK_EDGES, LARGEST_STAMP, EdgeColumns, Ranges, deal, merge, unpack
from gnnscale.schema import DataError

ORIGIN = 1_700_000_000
LARGEST_NODE = 2**31 - 1
KINDS = ["dense", "hub", "log", "sparse", "two ends"]


def random_sources(rng, kind, count):
    if kind == "two ends":
        return rng.choice([0, 1, LARGEST_NODE - 1, LARGEST_NODE], count)
    if kind == "log":
        return np.sort(rng.integers(0, 50, count))
    if kind == "hub":
        return np.where(rng.random(count) < 0.7, 17, rng.integers(0, 40, count))
    return rng.integers(0, {"dense": 30, "sparse": LARGEST_NODE}[kind], count, endpoint=True)


def random_edges(seed, kind, count, weighted):
    """Source, target, times, which have none, and weights or None; many are alike in some or all of these."""
    rng = np.random.default_rng(seed)
    source, target = random_sources(rng, kind, count), rng.integers(0, rng.choice([2, LARGEST_NODE]), count)
    span = int(rng.choice([1, 20, LARGEST_STAMP]))
    times = np.sort(ORIGIN + rng.integers(0, span, count)) if kind == "log" else ORIGIN + rng.integers(0, span, count)
    timeless = rng.random(count) < 0.2
    return source, target, times, timeless, rng.integers(1, 4, count).astype(np.float32) if weighted else None


def packed(source, target, times, timeless, weight):
    return EdgeColumns.of(source, target, times, timeless, ORIGIN, weight)


def in_order(source, target, times, timeless, weight):
    """Rows (source, time or None, target, weight) as an edge table has them, by NumPy's sort of plain columns."""
    weight = np.zeros(len(source)) if weight is None else weight
    order = np.lexsort((weight, target, np.where(timeless, 0, times), ~timeless, source))
    shown = [None if timeless[i] else int(times[i]) for i in order]
    return list(zip(source[order].tolist(), shown, target[order].tolist(), weight[order].tolist(), strict=True))


def rows(edges):
    """Rows of packed edges, in the order they are in."""
    weight = edges.weight if edges.weight is not None else np.zeros(len(edges))
    times = [None if stamp == 0 else ORIGIN + stamp - 1 for stamp in edges.stamps().tolist()]
    return list(zip(edges.source.tolist(), times, edges.targets().tolist(), weight.tolist(), strict=True))


def exchanged(chunks, ranges, weighted):
    """What each range gets of the chunks, by way of the binary column that Spark moves."""
    blocks = [block for chunk in chunks for block in deal(chunk, ranges)]
    width = 16 if weighted else 12
    assert all(len(block) // width <= BLOCK_EDGES for _, block in blocks)
    received = []
    for index in range(len(ranges)):
        own = [block for place, block in blocks if place == index]
        counts = np.array([len(block) // width for block in own], np.int64)
        received.append(merge(unpack(pa.array(own, pa.binary()), counts, weighted)))
    assert sum(map(len, received)) == sum(map(len, chunks))
    return received


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    kind=st.sampled_from(KINDS),
    count=st.integers(0, 400),
    weighted=st.booleans(),
    chunks=st.integers(1, 6),
    ranges=st.integers(1, 9),
    sampled=st.integers(0, 400),
)
def test_ranges_laid_end_to_end_are_all_edges_in_order(seed, kind, count, weighted, chunks, ranges, sampled):
    columns = random_edges(seed, kind, count, weighted)
    rng = np.random.default_rng(seed + 1)
    cuts = np.sort(rng.integers(0, count + 1, chunks - 1))
    pieces = list(zip(*([None] * chunks if c is None else np.split(c, cuts) for c in columns), strict=True))
    sample = packed(*columns)
    some = rng.permutation(count)[:sampled]
    bounds = Ranges.of_sample(EdgeColumns(sample.source[some], sample.payload[some]), ranges)
    assert len(bounds) <= ranges
    received = exchanged([packed(*piece) for piece in pieces], bounds, weighted)
    assert [row for part in received for row in rows(part)] == in_order(*columns)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(KINDS), weighted=st.booleans())
def test_turned_around_they_are_the_edges_of_the_other_direction(seed, kind, weighted):
    source, target, times, timeless, weight = random_edges(seed, kind, 100, weighted)
    turned = packed(source, target, times, timeless, weight).transposed()
    assert rows(merge([turned])) == in_order(target, source, times, timeless, weight)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_hub_is_spread_over_ranges_and_blocks_stay_small(weighted):
    count = 5 * BLOCK_EDGES
    source, target, _, _, weight = random_edges(3, "hub", count, weighted)
    times = ORIGIN + np.random.default_rng(0).integers(0, 10**6, count)
    columns = source, target, times, np.zeros(count, np.bool_), weight
    edges = packed(*columns)
    ranges = Ranges.of_sample(EdgeColumns(edges.source[::7], edges.payload[::7]), 8)
    # All that lies in one block by its range alone would be larger than a block may be.
    received = exchanged([edges], Ranges.of_sample(edges, 1), weighted) + exchanged([edges], ranges, weighted)
    sizes = [len(part) for part in received[1:]]
    assert max(sizes) < 1.2 * count / 8
    assert sum(17 in part.source for part in received[1:]) >= 6
    assert rows(received[0]) == [row for part in received[1:] for row in rows(part)] == in_order(*columns)


def test_few_edges_of_far_nodes_take_no_memory_for_the_nodes_between():
    columns = (np.array([LARGEST_NODE, 0]), np.array([1, 2]), np.full(2, ORIGIN), np.zeros(2, np.bool_), None)
    assert rows(merge([packed(*columns)])) == in_order(*columns)


@pytest.mark.parametrize("time", [ORIGIN - 1, ORIGIN + LARGEST_STAMP])
def test_a_time_that_no_stamp_stands_for_is_an_error(time):
    columns = np.array([1, 2]), np.array([3, 4]), np.array([ORIGIN, time])
    with pytest.raises(DataError, match=f"from {ORIGIN} to {ORIGIN + LARGEST_STAMP - 1}"):
        EdgeColumns.of(*columns, None, ORIGIN)
    # The time of an edge that always holds does not count.
    kept = EdgeColumns.of(*columns, np.array([False, True]), ORIGIN)
    assert rows(kept) == [(1, ORIGIN, 3, 0), (2, None, 4, 0)]


def test_the_first_and_the_last_time_come_back():
    times = np.array([ORIGIN, ORIGIN + LARGEST_STAMP - 1])
    edges = EdgeColumns.of(np.array([0, 0]), np.array([LARGEST_NODE, 0]), times, None, ORIGIN)
    assert rows(edges) == [(0, ORIGIN, LARGEST_NODE, 0), (0, ORIGIN + LARGEST_STAMP - 1, 0, 0)]


@pytest.mark.parametrize("weighted", [False, True])
def test_edges_with_an_end_that_is_no_node_are_left_out(weighted):
    source, target = np.array([-1, 5, 6, 7]), np.array([1, -1, 2, 3])
    weight = np.array([1, 2, 3, 4], np.float32) if weighted else None
    edges = EdgeColumns.of(source, target, np.full(4, ORIGIN), None, ORIGIN, weight)
    assert rows(edges) == [(6, ORIGIN, 2, 3 if weighted else 0), (7, ORIGIN, 3, 4 if weighted else 0)]
