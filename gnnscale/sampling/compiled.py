"""The sampling rule compiled by numba: no GIL, and no difference from the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.sampling.keys import UInt64, mulhi
from gnnscale.sampling.rule import Rule
from gnnscale.store import ALWAYS, Adjacency

_LAST, _UNIFORM, _WEIGHTED = 0, 1, 2
_CODES = {"last": _LAST, "uniform": _UNIFORM, "weighted": _WEIGHTED}
_NO_CAP = np.iinfo(np.int64).max
_NO_WEIGHTS = np.zeros(0, np.uint64)


def sample_neighbors(
    adjacency: Adjacency,
    frontier: NDArray[np.int32],
    anchors: NDArray[np.int32],
    keys: UInt64,
    fanout: int,
    rule: Rule,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """As :func:`gnnscale.sampling.reference.sample_neighbors`."""
    shape = (*frontier.shape, fanout)
    nodes = np.full(shape, -1, np.int32)
    times = np.full(shape, ALWAYS, np.int32)
    _sample(*_plain(adjacency, rule), frontier, anchors, keys, nodes, times)
    return nodes, times


def sample_flat(
    adjacency: Adjacency,
    nodes: NDArray[np.int32],
    anchors: NDArray[np.int32],
    keys: UInt64,
    slots: NDArray[np.int64],
    fanout: int,
    rule: Rule,
    first: int = 0,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Neighbors of frontier nodes that lie in any order, as where a frontier is spread over tiles of the graph.

    Entry i is what :func:`sample_neighbors` gives for ``frontier[b, w]`` where ``keys[i]`` and ``anchors[i]`` are those
    of example b, and ``slots[i]`` is w.

    Args:
        adjacency: of the edge type to follow; all of its nodes or those of a tile.
        nodes: ``[n]``, -1 where absent; the others are rows of ``adjacency``.
        anchors: seconds after the graph's origin ``[n]``.
        keys: ``[n]``, of the examples that the nodes belong to.
        slots: ``[n]``, places of the nodes in their examples' frontiers.
        fanout: most neighbors a node.
        rule: strategy and cap.
        first: node that row 0 of ``adjacency`` is of.

    Returns:
        Nodes and edge times, each int32 ``[n, fanout]``, -1 and ``ALWAYS`` where absent.
    """
    present = nodes[nodes >= 0]
    # Compiled code reads past an array's end without a word.
    assert not present.size or (first <= present.min() and present.max() < first + len(adjacency.indptr) - 1)
    neighbors = np.full((len(nodes), fanout), -1, np.int32)
    times = np.full((len(nodes), fanout), ALWAYS, np.int32)
    _sample_flat(*_plain(adjacency, rule), nodes, anchors, keys, slots, first, neighbors, times)
    return neighbors, times


def _plain(adjacency: Adjacency, rule: Rule) -> tuple[Any, Any, Any, Any, int, int]:
    """Graph and rule as the compiled functions take them."""
    weights = adjacency.cumulative
    strategy = _CODES[rule.strategy]
    if weights is None:
        weights = _NO_WEIGHTS
        strategy = _UNIFORM if strategy == _WEIGHTED else strategy
    indptr, neighbors, stamps = adjacency.indptr, adjacency.neighbors, adjacency.times
    arrays = _read_only(indptr), _read_only(neighbors), _read_only(stamps), _read_only(weights)
    return *arrays, strategy, _NO_CAP if rule.cap is None else rule.cap


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    # Numba compiles anew for arrays that may be written; what is mapped may not, so nothing may.
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


_mulhi = njit(nogil=True, cache=True)(mulhi)


@njit(nogil=True, cache=True)
def _draw(key, slot):  # type: ignore[no-untyped-def]
    value = key + np.uint64(0x9E3779B97F4A7C15) * (np.uint64(slot) + np.uint64(1))
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(nogil=True, cache=True)
def _sample(  # type: ignore[no-untyped-def]
    indptr, neighbors, stamps, cumulative, strategy, cap, frontier, anchors, keys, nodes, times
):
    batch, width, fanout = nodes.shape
    chosen, drawn = np.empty(fanout, np.int64), np.empty((2, fanout), np.uint64)
    for b in range(batch):
        for w in range(width):
            node = frontier[b, w]
            if node < 0:
                continue
            low, high = indptr[node], indptr[node + 1]
            taken = _choose(stamps, cumulative, strategy, cap, low, high, anchors[b], keys[b], w, chosen, drawn)
            for j in range(taken):
                nodes[b, w, j] = neighbors[chosen[j]]
                times[b, w, j] = stamps[chosen[j]]


@njit(nogil=True, cache=True)
def _sample_flat(  # type: ignore[no-untyped-def]
    indptr, neighbors, stamps, cumulative, strategy, cap, frontier, anchors, keys, slots, first, nodes, times
):
    rows, fanout = nodes.shape
    chosen, drawn = np.empty(fanout, np.int64), np.empty((2, fanout), np.uint64)
    for i in range(rows):
        if frontier[i] < 0:
            continue
        row = frontier[i] - first
        low, high = indptr[row], indptr[row + 1]
        taken = _choose(stamps, cumulative, strategy, cap, low, high, anchors[i], keys[i], slots[i], chosen, drawn)
        for j in range(taken):
            nodes[i, j] = neighbors[chosen[j]]
            times[i, j] = stamps[chosen[j]]


# A call a node costs uniform sampling a tenth of its time.
@njit(nogil=True, cache=True, inline="always")
def _choose(  # type: ignore[no-untyped-def]
    stamps, cumulative, strategy, cap, low, end, anchor, key, slot, chosen, drawn
):
    """Positions of the edges that one frontier node gets, into ``chosen``; returns how many.

    Its edges lie from ``low`` to ``end``; ``slot`` is its place in the frontier; ``drawn`` is scratch.
    """
    fanout = len(chosen)
    left, right = low, end
    while left < right:
        middle = (left + right) >> 1
        if stamps[middle] <= anchor:
            left = middle + 1
        else:
            right = middle
    high = left
    low = max(low, high - cap)
    count = high - low
    if strategy == _LAST or count <= fanout:
        taken = min(count, fanout)
        for j in range(taken):
            chosen[j] = high - 1 - j
        return taken
    if strategy == _WEIGHTED:
        _successive(cumulative, low, high, key, slot, chosen, drawn)
    else:
        _floyd(low, count, key, slot, chosen)
    return fanout


@njit(nogil=True, cache=True, inline="always")
def _floyd(low, count, key, slot, chosen):  # type: ignore[no-untyped-def]
    fanout = len(chosen)
    for j in range(fanout):
        top = count - fanout + j
        bits = _draw(key, slot * fanout + j)
        position = np.int64(((bits >> np.uint64(32)) * np.uint64(top + 1)) >> np.uint64(32))
        for i in range(j):
            if chosen[i] == low + position:
                position = top
                break
        chosen[j] = low + position


@njit(nogil=True, cache=True)
def _successive(cumulative, low, high, key, slot, chosen, drawn):  # type: ignore[no-untyped-def]
    """As the reference's; ``drawn`` holds starts and widths of the drawn intervals, in order of start."""
    fanout = len(chosen)
    base = cumulative[low]
    rest = cumulative[high] - base
    for j in range(fanout):
        place = _mulhi(_draw(key, slot * fanout + j), rest)
        rank = 0
        while rank < j and place >= drawn[0, rank]:
            place += drawn[1, rank]
            rank += 1
        # The first bound past the place ends its interval.
        left, right = low + 1, high
        while left < right:
            middle = (left + right) >> 1
            if cumulative[middle] - base <= place:
                left = middle + 1
            else:
                right = middle
        chosen[j] = left - 1
        for i in range(j, rank, -1):
            drawn[0, i], drawn[1, i] = drawn[0, i - 1], drawn[1, i - 1]
        drawn[0, rank] = cumulative[left - 1] - base
        drawn[1, rank] = cumulative[left] - cumulative[left - 1]
        rest -= drawn[1, rank]
