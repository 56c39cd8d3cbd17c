"""The sampling rule compiled by numba: no GIL, and no difference from the reference."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.sampling.keys import UInt64
from gnnscale.store import ALWAYS, Adjacency


def sample_neighbors(
    adjacency: Adjacency,
    frontier: NDArray[np.int32],
    anchors: NDArray[np.int32],
    keys: UInt64,
    fanout: int,
    uniform: bool,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """As :func:`gnnscale.sampling.reference.sample_neighbors`."""
    shape = (*frontier.shape, fanout)
    nodes = np.full(shape, -1, np.int32)
    times = np.full(shape, ALWAYS, np.int32)
    _sample(adjacency.indptr, adjacency.neighbors, adjacency.times, frontier, anchors, keys, uniform, nodes, times)
    return nodes, times


@njit(nogil=True, cache=True)
def _draw(key, slot):  # type: ignore[no-untyped-def]
    value = key + np.uint64(0x9E3779B97F4A7C15) * (np.uint64(slot) + np.uint64(1))
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(nogil=True, cache=True)
def _sample(indptr, neighbors, stamps, frontier, anchors, keys, uniform, nodes, times):  # type: ignore[no-untyped-def]
    batch, width, fanout = nodes.shape
    chosen = np.empty(fanout, np.int64)
    for b in range(batch):
        for w in range(width):
            node = frontier[b, w]
            if node < 0:
                continue
            low = indptr[node]
            left, right = low, indptr[node + 1]
            while left < right:
                middle = (left + right) >> 1
                if stamps[middle] <= anchors[b]:
                    left = middle + 1
                else:
                    right = middle
            count = left - low
            if not uniform or count <= fanout:
                taken = min(count, fanout)
                for j in range(taken):
                    chosen[j] = count - 1 - j
            else:
                taken = fanout
                for j in range(fanout):
                    top = count - fanout + j
                    bits = _draw(keys[b], w * fanout + j)
                    position = np.int64(((bits >> np.uint64(32)) * np.uint64(top + 1)) >> np.uint64(32))
                    for i in range(j):
                        if chosen[i] == position:
                            position = top
                            break
                    chosen[j] = position
            for j in range(taken):
                nodes[b, w, j] = neighbors[low + chosen[j]]
                times[b, w, j] = stamps[low + chosen[j]]
