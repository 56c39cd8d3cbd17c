"""Negatives by popularity in plain Python: what the compiled draws must equal bit for bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling.keys import UInt64, draw, mulhi
from gnnscale.sampling.negatives.known import KnownPositives
from gnnscale.sampling.negatives.popularity import Popularity

REDRAWS = 32
"""Draws of a slot, each with a key of its own, before it is settled among the allowed targets alone."""

UNSETTLED = -2
"""In a slot of which no draw was allowed."""


def fill_negatives(
    popularity: Popularity,
    known: KnownPositives,
    entities: NDArray[np.int64],
    anchors: NDArray[np.int32],
    keys: UInt64,
    redraw: NDArray[np.bool_],
    nodes: NDArray[np.int64],
) -> None:
    """Draw each slot by popularity until it is allowed: alive at the anchor, and no known positive of the entity.

    Args:
        popularity: of the targets.
        known: positives of the entities.
        entities, anchors, keys: ``[batch]``.
        redraw: whether to draw for an example at all, ``[batch]``.
        nodes: gets the targets, int64 ``[batch, number]``, ``UNSETTLED`` where none of ``REDRAWS`` was allowed.
    """
    nodes[:] = UNSETTLED
    total = popularity.cumulative[-1]
    for b, j in np.ndindex(nodes.shape):
        if not redraw[b]:
            continue
        positives = known.targets[known.indptr[entities[b]] : known.indptr[entities[b] + 1]]
        slot = slot_keys(keys[b : b + 1], j + 1)[0, j]
        for attempt in range(REDRAWS):
            place = mulhi(draw(slot, np.uint64(attempt)), total)
            node = np.searchsorted(popularity.cumulative, place, side="right") - 1
            if popularity.is_valid_at(np.array([node]), int(anchors[b]))[0] and node not in positives:
                nodes[b, j] = node
                break


def slot_keys(keys: UInt64, number: int) -> UInt64:
    """Keys of the slots of some examples, uint64 ``[batch, number]``."""
    return draw(keys[:, None], np.arange(number, dtype=np.uint64))
