"""The sampling rule in plain NumPy: slow, short, and what every other backend must equal bit for bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling.keys import UInt64, below, draw
from gnnscale.store import ALWAYS, Adjacency


def sample_neighbors(
    adjacency: Adjacency,
    frontier: NDArray[np.int32],
    anchors: NDArray[np.int32],
    keys: UInt64,
    fanout: int,
    uniform: bool,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Neighbors of each frontier node whose edge is stamped at or before its anchor.

    Where there are at most ``fanout``, all of them, latest first. Else ``last`` takes the latest, and ``uniform``
    a uniform subset without replacement by Floyd's algorithm (Bentley and Floyd, 1987).

    Args:
        adjacency: of the edge type to follow.
        frontier: ``[batch, width]``, -1 where absent.
        anchors: ``[batch]``.
        keys: ``[batch]``, one an example.
        fanout: most neighbors a node.
        uniform: which strategy.

    Returns:
        Nodes and edge times, each int32 ``[batch, width, fanout]``, -1 and ``ALWAYS`` where absent.
    """
    batch, width = frontier.shape
    nodes = np.full((batch, width, fanout), -1, np.int32)
    times = np.full((batch, width, fanout), ALWAYS, np.int32)
    for b in range(batch):
        for w in range(width):
            node = frontier[b, w]
            if node < 0:
                continue
            low, high = int(adjacency.indptr[node]), int(adjacency.indptr[node + 1])
            count = int(np.searchsorted(adjacency.times[low:high], anchors[b], side="right"))
            if not uniform or count <= fanout:
                chosen = [count - 1 - j for j in range(min(count, fanout))]
            else:
                chosen = _floyd(keys[b], w, count, fanout)
            for j, position in enumerate(chosen):
                nodes[b, w, j] = adjacency.neighbors[low + position]
                times[b, w, j] = adjacency.times[low + position]
    return nodes, times


def _floyd(key: np.uint64, parent: int, count: int, fanout: int) -> list[int]:
    chosen: list[int] = []
    for j in range(fanout):
        top = count - fanout + j
        bits = draw(np.asarray([key]), np.asarray([parent * fanout + j], np.uint64))
        position = int(below(bits, np.asarray([top + 1], np.uint64))[0])
        chosen.append(top if position in chosen else position)
    return chosen
