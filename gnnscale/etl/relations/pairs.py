"""Counting pairs of rows within groups, compiled by numba."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.etl.derived.groups import group_bounds

SLOTS = 1 << 20
"""Pairs are counted in a hash table of this many slots (40 MB), handed on when it is half full. Fewer stay in a core's
cache and count up to twice as fast, but hand on several times the pairs, and Spark's sums cost more than that."""


@dataclass(frozen=True)
class GroupRows:
    """Rows of whole groups, sorted by (group, time); every array int64 ``[rows]``.

    Args:
        groups: a number for each group.
        items: node ids.
        times: epoch seconds; 0 for all where rows have none.
        periods: index of the period that each row is in.
    """

    groups: NDArray[np.int64]
    items: NDArray[np.int64]
    times: NDArray[np.int64]
    periods: NDArray[np.int64]


@dataclass(frozen=True)
class PairCounts:
    """Co-occurrences of pairs of items; every array int64 ``[pairs]``.

    Args:
        first, second: node ids, the smaller one first.
        periods: in which they occurred together.
        counts: how often.
        latest: time of the last one, in epoch seconds.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    periods: NDArray[np.int64]
    counts: NDArray[np.int64]
    latest: NDArray[np.int64]


def count_pairs(rows: GroupRows, within: int | None, max_group: int, slots: int = SLOTS) -> Iterator[PairCounts]:
    """Count, for each pair of items (and period of the later row), the pairs of rows of one group.

    Args:
        rows: of whole groups.
        within: most seconds between the two rows; None for any.
        max_group: rows of a group that count, the last ones.
        slots: of the hash table; a power of two.

    Yields:
        Counts that are to be added up: a pair may come more than once.
    """
    if not len(rows.groups):
        return
    opens, sizes = group_bounds(rows.groups)
    starts = np.repeat(np.maximum(opens, opens + sizes - max_group), sizes)
    # Each row brings up to max_group pairs, and they must fit into the half that may be filled.
    while slots < 2 * max_group:
        slots *= 2
    first, second, periods, latest = (np.zeros(slots, np.int64) for _ in range(4))
    counts = np.zeros(slots, np.int64)
    row, window = 0, -1 if within is None else within
    while row < len(starts):
        counts[:] = 0
        row = _fill(starts, rows.items, rows.times, rows.periods, window, row, first, second, periods, counts, latest)
        found = np.flatnonzero(counts)
        yield PairCounts(first[found], second[found], periods[found], counts[found], latest[found])


@njit(nogil=True, cache=True)
def _fill(starts, items, times, spans, window, row, first, second, periods, counts, latest):  # type: ignore[no-untyped-def]
    """Count from ``row`` on until the table is half full; the row to go on with comes back."""
    slots = len(counts)
    used = 0
    low = starts[row]
    while row < len(items):
        low = max(low, starts[row])
        if window >= 0:
            while low < row and times[low] < times[row] - window:
                low += 1
        if used + row - low > slots // 2:
            break
        for other in range(low, row):
            a, b, span = items[other], items[row], spans[row]
            if a == b:
                continue
            if a > b:
                a, b = b, a
            value = np.uint64(a) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(b)
            value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9) + np.uint64(span)
            value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            slot = np.int64((value >> np.uint64(32)) & np.uint64(slots - 1))
            while counts[slot] != 0 and (first[slot] != a or second[slot] != b or periods[slot] != span):
                slot = (slot + 1) & (slots - 1)
            if counts[slot] == 0:
                first[slot], second[slot], periods[slot], latest[slot] = a, b, span, times[row]
                used += 1
            counts[slot] += 1
            latest[slot] = max(latest[slot], times[row])
        row += 1
    return row
