"""Small temporal graphs in CSR for the sampling tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from gnnscale.store import ALWAYS, Adjacency


def adjacency_of(lists: list[list[tuple[int, int]]]) -> Adjacency:
    """CSR of each node's (time, neighbor) pairs."""
    ordered = [sorted(pairs) for pairs in lists]
    indptr = np.cumsum([0, *map(len, ordered)]).astype(np.int64)
    flat = [pair for pairs in ordered for pair in pairs]
    times = np.array([time for time, _ in flat], np.int32)
    return Adjacency(indptr, np.array([node for _, node in flat], np.int32), times)


stamps = st.one_of(st.just(int(ALWAYS)), st.integers(-5, 20))
graphs = st.lists(st.lists(st.tuples(stamps, st.integers(0, 9)), max_size=25), min_size=1, max_size=6).map(adjacency_of)


def one_hub(degree: int) -> Adjacency:
    """One node whose neighbor at position i is i, stamped i."""
    return adjacency_of([[(i, i) for i in range(degree)]])


def frontier_of(*rows: list[int]) -> NDArray[np.int32]:
    """Nodes ``[batch, width]``."""
    return np.array(rows, np.int32)
