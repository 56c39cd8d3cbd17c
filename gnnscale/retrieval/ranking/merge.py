"""Two branches to one ranking: pair scores for an entity's own targets, tower scores for all others."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.embeddings import PairScores
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.retrieval.ranking.allowed_search import AllowedSearch, VectorIndex
from gnnscale.retrieval.ranking.tower import TargetVectors


def search_merged(
    index: VectorIndex,
    entities: NDArray[np.float32],
    pairs: PairScores,
    rows: NDArray[np.int64],
    k: int,
    depth: int,
    keep: Filter | None = None,
    vectors: TargetVectors | None = None,
) -> Neighbors:
    """The ``k`` best targets of each entity, exactly as if every target had been scored.

    Args:
        index: over all targets; where it is approximate, so is what comes from outside the pairs.
        entities: tower vectors of the entities, ``[len(rows), channels]``.
        pairs: of all entities; these scores stand instead of the tower's.
        rows: which entities these are, int64.
        k: targets wanted.
        depth: targets that the index is asked for at first.
        keep: which targets each entity may be given; default: all.
        vectors: what the index was built of, for where it is not enough; see :class:`AllowedSearch`.

    Returns:
        ``[len(rows), min(k, targets)]``; ties go to the smaller target id, -1 where fewer targets are allowed.

    Raises:
        DataError: the parts don't fit together.
    """
    return AllowedSearch(index, keep or _all_of(index.size), vectors, pairs).search(entities, rows, k, depth)


@lru_cache(maxsize=1)
def _all_of(targets: int) -> Filter:
    """A filter that leaves nothing out, kept for the next batch."""
    return Filter(np.ones(targets, np.bool_))
