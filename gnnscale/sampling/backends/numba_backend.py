"""The sampling rule compiled by numba: no GIL, and no difference from the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.sampling.keys import UInt64
from gnnscale.sampling.line_hints import prefetch_line
from gnnscale.sampling.numba_keys import draw_bits, multiply_high, read_only
from gnnscale.sampling.sampling_rule import Rule
from gnnscale.schema import SAMPLERS
from gnnscale.store import ALWAYS, Adjacency

_LAST, _UNIFORM, _WEIGHTED = 0, 1, 2
_CODES = {"last": _LAST, "uniform": _UNIFORM, "weighted": _WEIGHTED}
_NO_CAP = np.iinfo(np.int64).max
_NO_WEIGHTS = read_only(np.zeros(0, np.uint64))


@SAMPLERS.register("numba")
class NumbaBackend:
    """The reference's samples, made by compiled code that threads run at once."""

    def fill_neighbors(
        self,
        adjacency: Adjacency,
        frontier: NDArray[np.int32],
        anchors: NDArray[np.int32],
        keys: UInt64,
        rule: Rule,
        nodes: NDArray[np.int32],
        times: NDArray[np.int32],
    ) -> None:
        """As :meth:`gnnscale.sampling.SamplerBackend.fill_neighbors`."""
        # Compiled code reads past an array's end without a word.
        assert frontier.max(initial=-1) < len(adjacency.indptr) - 1
        _sample(*_plain(adjacency, rule), frontier, anchors, keys, nodes, times)


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

    Entry i is what :meth:`NumbaBackend.fill_neighbors` gives for ``frontier[b, w]`` where ``keys[i]`` and
    ``anchors[i]`` are those of example b, and ``slots[i]`` is w.

    Args:
        adjacency: of the edge type to follow; all of its nodes or those of a tile.
        nodes: ``[n]``, -1 where absent; the others are rows of ``adjacency``.
        anchors: seconds after the graph's origin ``[n]``.
        keys: ``[n]``, of the examples that the nodes belong to.
        slots: ``[n]``, positions of the nodes in their examples' frontiers.
        fanout: most neighbors a node.
        rule: strategy and cap.
        first: node that row 0 of ``adjacency`` is of.

    Returns:
        Nodes and edge times, each int32 ``[n, fanout]``, -1 and ``ALWAYS`` where absent.
    """
    present = nodes[nodes >= 0]
    # Compiled code reads past an array's end without a word.
    assert not present.size or (first <= present.min() and present.max() < first + len(adjacency.indptr) - 1)
    neighbors = np.empty((len(nodes), fanout), np.int32)
    times = np.empty((len(nodes), fanout), np.int32)
    _sample_flat(*_plain(adjacency, rule), nodes, anchors, keys, slots, first, neighbors, times)
    return neighbors, times


def _plain(adjacency: Adjacency, rule: Rule) -> tuple[Any, Any, Any, Any, int, int]:
    """Graph and rule as the compiled functions take them."""
    weights = adjacency.cumulative
    strategy = _CODES[rule.strategy]
    if weights is None:
        weights = _NO_WEIGHTS
        strategy = _UNIFORM if strategy == _WEIGHTED else strategy
    cap = _NO_CAP if rule.cap is None else rule.cap
    return adjacency.indptr, adjacency.neighbors, adjacency.times, weights, strategy, cap


@njit(nogil=True, cache=True)
def _sample(  # type: ignore[no-untyped-def]
    indptr, neighbors, stamps, cumulative, strategy, cap, frontier, anchors, keys, nodes, times
):
    batch, width, fanout = nodes.shape
    group = _group_size(fanout)
    lows, highs = np.empty(group, np.int64), np.empty(group, np.int64)
    limits, group_keys, slots = np.empty(group, np.int32), np.empty(group, np.uint64), np.empty(group, np.int64)
    positions = np.empty((group, fanout), np.int64)
    drawn = np.empty((2, fanout), np.uint64)
    entries, out_nodes, out_times = frontier.reshape(-1), nodes.reshape(-1, fanout), times.reshape(-1, fanout)
    b = w = 0
    for start in range(0, batch * width, group):
        many = min(group, batch * width - start)
        for i in range(many):
            node = entries[start + i]
            lows[i] = indptr[node] if node >= 0 else 0
            highs[i] = indptr[node + 1] if node >= 0 else 0
            if highs[i] > lows[i]:
                prefetch_line(stamps, highs[i] - 1)
            limits[i], group_keys[i], slots[i] = anchors[b], keys[b], w
            w += 1
            if w == width:
                b, w = b + 1, 0
        for i in range(start + group, min(start + 2 * group, batch * width)):
            prefetch_line(indptr, np.int64(max(0, entries[i])))
        part = slice(start, start + many)
        scratch = lows[:many], highs[:many], limits, group_keys, slots, positions, drawn
        _sample_group(neighbors, stamps, cumulative, strategy, cap, scratch, out_nodes[part], out_times[part])


@njit(nogil=True, cache=True)
def _sample_flat(  # type: ignore[no-untyped-def]
    indptr, neighbors, stamps, cumulative, strategy, cap, frontier, anchors, keys, slots, first, nodes, times
):
    rows, fanout = nodes.shape
    group = _group_size(fanout)
    lows, highs = np.empty(group, np.int64), np.empty(group, np.int64)
    positions = np.empty((group, fanout), np.int64)
    drawn = np.empty((2, fanout), np.uint64)
    for start in range(0, rows, group):
        many = min(group, rows - start)
        for i in range(many):
            node = frontier[start + i]
            lows[i] = indptr[node - first] if node >= 0 else 0
            highs[i] = indptr[node - first + 1] if node >= 0 else 0
            if highs[i] > lows[i]:
                prefetch_line(stamps, highs[i] - 1)
        for i in range(start + group, min(start + 2 * group, rows)):
            prefetch_line(indptr, np.int64(max(0, frontier[i] - first)))
        part = slice(start, start + many)
        scratch = lows[:many], highs[:many], anchors[part], keys[part], slots[part], positions, drawn
        _sample_group(neighbors, stamps, cumulative, strategy, cap, scratch, nodes[part], times[part])


@njit(nogil=True, cache=True, inline="always")
def _group_size(fanout):  # type: ignore[no-untyped-def]
    return max(1, min(64, 4096 // fanout))


# Memory is random all over, so a group of nodes goes through each step together: the loads of one step don't wait for
# each other, and what the next step reads is on its way while this one computes: bounds a group ahead, the latest edge
# of a node once its bounds are known, and what is drawn as soon as it is.
@njit(nogil=True, cache=True)
def _sample_group(  # type: ignore[no-untyped-def]
    neighbors, stamps, cumulative, strategy, cap, scratch, nodes, times
):
    """Sample for some frontier nodes, whose edges lie from ``lows`` to ``highs``; ``slots`` are their positions.

    ``highs``, ``positions`` and ``drawn`` are overwritten.
    """
    lows, highs, limits, keys, slots, positions, drawn = scratch
    fanout = nodes.shape[1]
    # The latest edge tells mostly that all are early enough.
    for i in range(len(lows)):
        positions[i, 0] = stamps[highs[i] - 1] if highs[i] > lows[i] else ALWAYS
    for i in range(len(lows)):
        if positions[i, 0] > limits[i]:
            highs[i] = _find_end(stamps, lows[i], highs[i] - 1, limits[i])
    for i in range(len(lows)):
        high = highs[i]
        low = max(lows[i], high - cap)
        count = high - low
        if strategy == _LAST or count <= fanout:
            for j in range(min(count, fanout)):
                positions[i, j] = high - 1 - j
            highs[i] = min(count, fanout)
            if count > 0:
                # Side by side: mostly one line, else two.
                for place in (high - 1, high - highs[i]):
                    prefetch_line(neighbors, place)
                    prefetch_line(stamps, place)
            continue
        if strategy == _WEIGHTED:
            _successive(cumulative, low, high, keys[i], slots[i], positions[i], drawn)
        else:
            _floyd(low, count, keys[i], slots[i], positions[i])
        for j in range(fanout):
            prefetch_line(neighbors, positions[i, j])
            prefetch_line(stamps, positions[i, j])
        highs[i] = fanout
    for i in range(len(lows)):
        taken = highs[i]
        for j in range(taken):
            nodes[i, j] = neighbors[positions[i, j]]
            times[i, j] = stamps[positions[i, j]]
        for j in range(taken, fanout):
            nodes[i, j] = -1
            times[i, j] = ALWAYS


@njit(nogil=True, cache=True, inline="always")
def _find_end(stamps, low, high, anchor):  # type: ignore[no-untyped-def]
    """The first position from ``low`` to ``high`` whose edge is later than the anchor, else ``high``."""
    while low < high:
        middle = (low + high) >> 1
        if stamps[middle] <= anchor:
            low = middle + 1
        else:
            high = middle
    return low


@njit(nogil=True, cache=True, inline="always")
def _floyd(low, count, key, slot, chosen):  # type: ignore[no-untyped-def]
    fanout = len(chosen)
    for j in range(fanout):
        top = count - fanout + j
        bits = draw_bits(key, slot * fanout + j)
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
        place = multiply_high(draw_bits(key, slot * fanout + j), rest)
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
