"""Every target scored for some entities: what the holdout is checked by, and rankings of a part of the targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.retrieval.embeddings import PairScores
from gnnscale.retrieval.index.neighbors import Neighbors

CELLS = 16_000_000
"""Scores held at once."""


def rank_exact(
    entities: NDArray[np.float32],
    targets: NDArray[np.float32],
    pairs: PairScores | None,
    rows: NDArray[np.int64],
    k: int,
    past: Ragged | None = None,
    among: str = "all",
    but: NDArray[np.int64] | None = None,
    there: NDArray[np.bool_] | None = None,
) -> Neighbors:
    """Brute force over all targets.

    Args:
        entities: tower vectors, ``[len(rows), channels]``.
        targets: tower vectors, ``[targets, channels]``.
        pairs: pair scores of all entities, which replace the tower's; None for the tower alone.
        rows: which entities these are.
        k: targets wanted.
        past: targets that each of ``rows`` had before; needed for ``repeat`` and ``explore``.
        among: ``all`` targets, only those of the past (``repeat``) or only others (``explore``).
        but: a target that each of ``rows`` is never given, int64 ``[len(rows)]``; None for none.
        there: which targets may be given at all, bool ``[targets]``; None for all.

    Returns:
        ``[len(rows), k]``, -1 where there are fewer.
    """
    number, count = len(rows), len(targets)
    kept = min(k, count)
    found = np.full((number, k), -1, np.int64)
    best = np.full((number, k), -np.inf, np.float32)
    size = max(1, CELLS // max(1, count))
    for start in range(0, number, size):
        part = slice(start, min(number, start + size))
        scores = entities[part] @ targets.T
        for i, row in enumerate(rows[part]):
            if pairs is not None:
                own = slice(pairs.indptr[row], pairs.indptr[row + 1])
                scores[i, pairs.targets[own]] = pairs.scores[own]
            if past is not None and among != "all":
                before = past.row(start + i)
                allowed = np.full(count, among == "explore")
                allowed[before] = among == "repeat"
                scores[i, ~allowed] = -np.inf
        if there is not None:
            scores[:, ~there] = -np.inf
        if but is not None:
            scores[np.arange(len(scores)), but[part]] = -np.inf
        top = np.argpartition(-scores, kept - 1, axis=1)[:, :kept]
        values = np.take_along_axis(scores, top, 1)
        order = np.lexsort((top, -values), axis=1)
        top, values = np.take_along_axis(top, order, 1), np.take_along_axis(values, order, 1)
        found[part, :kept] = np.where(np.isfinite(values), top, -1)
        best[part, :kept] = values
    return Neighbors(found, best)
