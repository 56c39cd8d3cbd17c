"""Visits of walks counted in plain NumPy: what the compiled count must equal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def count_visits(
    visited: NDArray[np.int32], own: NDArray[np.int32], nodes: NDArray[np.int32], counts: NDArray[np.int32]
) -> None:
    """The most visited nodes of each row, most visited first, of equal ones the lower id first.

    Args:
        visited: ``[batch, visits]``, -1 where there was none.
        own: ``[batch]``, a node of each row that does not count; -1 for none.
        nodes, counts: get the nodes and their visits, ``[batch, top]``, -1 and 0 where absent.
    """
    top = nodes.shape[1]
    nodes[:], counts[:] = -1, 0
    for b, row in enumerate(visited):
        found, times = np.unique(row[(row >= 0) & (row != own[b])], return_counts=True)
        order = np.lexsort((found, -times))[:top]
        nodes[b, : len(order)], counts[b, : len(order)] = found[order], times[order]
