"""Two branches to one ranking: pair scores for an entity's own targets, tower scores for all others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.embeddings import PairScores
from gnnscale.retrieval.index import FlatIndex, Neighbors


def search_merged(
    index: FlatIndex, entities: NDArray[np.float32], pairs: PairScores, rows: NDArray[np.int64], k: int, depth: int
) -> Neighbors:
    """The ``k`` best targets of each entity, exactly as if every target had been scored.

    A target inside the neighborhood is left out of what the index finds. The index is asked deeper, twice as far each
    time, until it has shown ``k`` targets from outside and every other of their scores, or all there are.

    Args:
        index: over all targets.
        entities: tower vectors of the entities, ``[len(rows), channels]``.
        pairs: of all entities.
        rows: which entities these are, int64.
        k: targets wanted.
        depth: targets that the index is asked for at first.

    Returns:
        ``[len(rows), min(k, targets)]``; ties go to the smaller target id.
    """
    k = min(k, index.size)
    depth = min(max(depth, k), index.size)
    found = index.search(entities, depth)
    outside = _outside(found.targets, pairs, rows, index.size)
    # The last score found may go on past the depth, so only better ones are sure to be all there.
    sure = (outside & (found.scores > found.scores[:, -1:])).sum(1)
    short = np.flatnonzero((sure < k) & (depth < index.size))
    targets = np.empty((len(rows), k), np.int64)
    scores = np.empty((len(rows), k), np.float32)
    if len(short):
        deeper = search_merged(index, entities[short], pairs, rows[short], k, 2 * depth)
        targets[short], scores[short] = deeper.targets, deeper.scores
    for i in np.setdiff1d(np.arange(len(rows)), short):
        low, high = pairs.indptr[rows[i]], pairs.indptr[rows[i] + 1]
        ids = np.concatenate([pairs.targets[low:high], found.targets[i][outside[i]]])
        values = np.concatenate([pairs.scores[low:high], found.scores[i][outside[i]]])
        best = np.lexsort((ids, -values))[:k]
        targets[i], scores[i] = ids[best], values[best]
    return Neighbors(targets, scores)


def _outside(found: NDArray[np.int64], pairs: PairScores, rows: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    """Which found targets are not in their entity's neighborhood: bool ``[entities, depth]``."""
    counts = pairs.counts[rows]
    starts = np.repeat(pairs.indptr[rows], counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    keys = np.repeat(np.arange(len(rows)), counts) * size + pairs.targets[starts + within]
    return ~np.isin(found + np.arange(len(rows))[:, None] * size, keys)
