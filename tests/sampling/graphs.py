"""Small temporal graphs in CSR for the sampling tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from gnnscale.sampling import Rule, find_backend
from gnnscale.sampling.keys import example_keys, stream_key
from gnnscale.schema import SAMPLERS, ConfigError
from gnnscale.store import ALWAYS, Adjacency
from gnnscale.store.features import NodeFeatures


def adjacency_of(lists: list[list[tuple[int, int]]]) -> Adjacency:
    """CSR of each node's (time, neighbor) pairs."""
    ordered = [sorted(pairs) for pairs in lists]
    indptr = np.cumsum([0, *map(len, ordered)]).astype(np.int64)
    flat = [pair for pairs in ordered for pair in pairs]
    times = np.array([time for time, _ in flat], np.int32)
    return Adjacency(indptr, np.array([node for _, node in flat], np.int32), times)


def with_weights(adjacency: Adjacency, quanta: Sequence[int]) -> Adjacency:
    """The graph with quantised weights, one an edge."""
    return replace(adjacency, cumulative=np.cumsum([0, *quanta], dtype=np.uint64))


def keys_for(count: int, seed: int = 0) -> NDArray[np.uint64]:
    """Keys of so many examples."""
    return example_keys(stream_key(seed, 0, "test"), np.arange(count))


def features_of(ends: list[int] | None = None) -> NodeFeatures:
    """Of a table that has nothing but ends."""
    nodes = 10 if ends is None else len(ends)
    stamps = None if ends is None else np.array(ends, np.int32)
    return NodeFeatures(
        np.zeros((nodes, 0), np.float32), np.zeros((nodes, 0), np.int32), np.full(nodes, ALWAYS, np.int32), stamps
    )


stamps = st.one_of(st.just(int(ALWAYS)), st.integers(-5, 20))
graphs = st.lists(st.lists(st.tuples(stamps, st.integers(0, 9)), max_size=25), min_size=1, max_size=6).map(adjacency_of)

quanta = st.one_of(st.integers(1, 3), st.integers(1, 2**32 - 1), st.just(2**32 - 1))


@st.composite
def maybe_weighted(draw: st.DrawFn) -> Adjacency:
    """A graph whose edges have weights or not."""
    adjacency = draw(graphs)
    edges = len(adjacency.neighbors)
    weights = draw(st.none() | st.lists(quanta, min_size=edges, max_size=edges))
    return adjacency if weights is None else with_weights(adjacency, weights)


rules = st.builds(Rule, st.sampled_from(["uniform", "last", "weighted"]), st.none() | st.integers(1, 20))


def one_hub(degree: int) -> Adjacency:
    """One node whose neighbor at position i is i, stamped i."""
    return adjacency_of([[(i, i) for i in range(degree)]])


def sample_with(fill: Callable) -> Callable:
    """A backend as a function of (adjacency, frontier, anchors, keys, fanout, rule) that gives nodes and times."""

    def sample(adjacency, frontier, anchors, keys, fanout, rule):
        # What a backend leaves as it was shows.
        nodes, times = (np.full((*frontier.shape, fanout), -77, np.int32) for _ in range(2))
        fill(adjacency, frontier, anchors, keys, rule, nodes, times)
        return nodes, times

    return sample


def runs_here(name: str) -> bool:
    """Whether a backend has what it runs on."""
    try:
        find_backend(name)
    except ConfigError:
        return False
    return True


BACKENDS = {name: sample_with(find_backend(name).fill_neighbors) for name in SAMPLERS.names() if runs_here(name)}
"""Every registered backend that runs here."""


def frontier_of(*rows: list[int]) -> NDArray[np.int32]:
    """Nodes ``[batch, width]``."""
    return np.array(rows, np.int32)
