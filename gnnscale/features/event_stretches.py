"""Which edges the events of some rows are at some anchors, row by row, so that each is read once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.features.tally import known_events
from gnnscale.store import Adjacency

EVENTS: Final = 1 << 20
"""Edges that are read at once, where one stretch has no more."""

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Stretches:
    """Stretches of edges that examples share.

    Args:
        start, stop: edges of each stretch, int64 ``[stretches]``.
        of: stretch of each example, int64 ``[examples]``.
        size: rows that reading each takes, int64 ``[stretches]``.
    """

    start: Ids
    stop: Ids
    of: Ids
    size: Ids

    def parts(self) -> Iterator[tuple[slice, Ids]]:
        """Stretches that together take no more than :data:`EVENTS` rows, and the examples in them."""
        order = np.argsort(self.of, kind="stable")
        bounds = np.searchsorted(self.of[order], np.arange(len(self.start) + 1))
        total = np.cumsum(self.size)
        first = 0
        while first < len(total):
            before = total[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(total, before + EVENTS, side="right")))
            yield slice(first, last), order[bounds[first] : bounds[last]]
            first = last


def plan_stretches(
    adjacency: Adjacency,
    nodes: Ids,
    anchors: NDArray[np.int32],
    most: int | None = None,
    behind: Adjacency | None = None,
) -> Stretches:
    """The edges of each example up to its anchor, in stretches that those of one node share.

    Args:
        adjacency: of the edges.
        nodes: of the examples, int64 ``[examples]``.
        anchors: seconds after the graph's origin, int32 ``[examples]``.
        most: edges of an example, the latest; None for all. With it, a stretch is no longer than it and
            :data:`EVENTS`, however many edges a node has.
        behind: edges that are read of all that these lead to; None for none.
    """
    begin, known = np.asarray(adjacency.indptr[nodes]), known_counts(adjacency, nodes, anchors)
    end = begin + known
    start = begin if most is None else np.maximum(begin, end - most)
    # Anchors of a node that is large are far apart, and each needs what is just before it.
    near = np.zeros(len(nodes), np.int64) if most is None else known // EVENTS
    order = np.lexsort((near, nodes))
    fresh = np.ones(len(nodes), bool)
    fresh[1:] = (np.diff(nodes[order]) != 0) | (np.diff(near[order]) != 0)
    of = np.empty(len(nodes), np.int64)
    of[order] = np.cumsum(fresh) - 1
    first = np.flatnonzero(fresh)
    if not len(first):
        return Stretches(first, first, of, first)
    start, stop = np.minimum.reduceat(start[order], first), np.maximum.reduceat(end[order], first)
    size = stop - start
    if behind is not None:
        size = size + _count_behind(adjacency.neighbors, behind.indptr, start, stop)
    return Stretches(start, stop, of, size)


def known_counts(adjacency: Adjacency, nodes: Ids, anchors: NDArray[np.int32]) -> Ids:
    """Edges of nodes that are stamped at or before an anchor, int64 ``[examples]``."""
    return _known_counts(adjacency.indptr, adjacency.times, nodes, anchors)


@njit(nogil=True, cache=True)
def _count_behind(neighbors, indptr, start, stop):  # type: ignore[no-untyped-def]
    found = np.zeros(len(start), np.int64)
    for i in range(len(start)):
        for place in range(start[i], stop[i]):
            found[i] += indptr[neighbors[place] + 1] - indptr[neighbors[place]]
    return found


@njit(nogil=True, cache=True)
def _known_counts(indptr, stamps, nodes, anchors):  # type: ignore[no-untyped-def]
    found = np.empty(len(nodes), np.int64)
    for i in range(len(nodes)):
        low = indptr[nodes[i]]
        found[i] = known_events(stamps, low, indptr[nodes[i] + 1], np.int64(anchors[i])) - low
    return found
