"""Visits of walks counted by numba, without the GIL."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def count_visits(visited, own, nodes, counts):  # type: ignore[no-untyped-def]
    """As :func:`gnnscale.sampling.walks.numpy_walks.count_visits`."""
    batch, top = nodes.shape
    width = visited.shape[1]
    row, ranked = np.empty(width, np.int32), np.empty(width, np.int64)
    for b in range(batch):
        number = 0
        for v in range(width):
            node = visited[b, v]
            if node >= 0 and node != own[b]:
                row[number] = node
                number += 1
        row[:number].sort()
        distinct = i = 0
        while i < number:
            start = i
            while i < number and row[i] == row[start]:
                i += 1
            # Ascending in this: more visits first, then the lower id.
            ranked[distinct] = (np.int64(start - i) << 32) | np.int64(row[start])
            distinct += 1
        ranked[:distinct].sort()
        kept = min(top, distinct)
        for j in range(kept):
            nodes[b, j] = np.int32(ranked[j] & np.int64(0xFFFFFFFF))
            counts[b, j] = np.int32(-(ranked[j] >> 32))
        for j in range(kept, top):
            nodes[b, j] = -1
            counts[b, j] = 0
