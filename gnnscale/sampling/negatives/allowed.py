"""Exact draws among the targets that an example may have: what settles a slot that redraws did not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling.keys import UInt64, mulhi
from gnnscale.sampling.negatives.known import KnownPositives
from gnnscale.sampling.negatives.popularity import Popularity


def allowed_weight(
    popularity: Popularity, known: KnownPositives, entities: NDArray[np.int64], anchors: NDArray[np.int32]
) -> NDArray[np.uint64]:
    """Weight of the targets that are alive at each anchor and no known positives of its entity, uint64 ``[batch]``."""
    rows = known.take(entities)
    which, targets = rows.row_of_value, rows.values
    weights = np.where(popularity.is_valid_at(targets, anchors[which]), popularity.weight_of(targets), np.uint64(0))
    running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(weights)])
    return popularity.valid_weight(anchors) - np.diff(running[rows.indptr])


class AllowedTargets:
    """The targets that are alive at one anchor, end to end as intervals as wide as their weights.

    Args:
        popularity: of all targets.
        anchor: seconds after the graph's origin. Costs a pass over all targets.
    """

    def __init__(self, popularity: Popularity, anchor: int) -> None:
        self._nodes = np.flatnonzero(popularity.is_valid_at(np.arange(len(popularity)), anchor))
        weights = popularity.weight_of(self._nodes)
        self._bounds = np.concatenate([np.zeros(1, np.uint64), np.cumsum(weights)])

    def draw(self, known: KnownPositives, entity: int, bits: UInt64) -> NDArray[np.int64]:
        """Draw in proportion to weight among the targets that are no known positives of an entity.

        A draw is an integer below the weight that is allowed; intervals of known positives push it past themselves.

        Args:
            known: positives of the entities.
            entity: node id.
            bits: random ones of each draw, ``[number]``.

        Returns:
            int64 ``[number]``; -1 where no target is allowed.
        """
        row = known.targets[known.indptr[entity] : known.indptr[entity + 1]]
        positions = np.searchsorted(self._nodes, row)
        there = positions < len(self._nodes)
        positions, row = positions[there], row[there]
        positions = positions[self._nodes[positions] == row]
        starts, widths = self._bounds[positions], self._bounds[positions + 1] - self._bounds[positions]
        passed = np.concatenate([np.zeros(1, np.uint64), np.cumsum(widths)])
        allowed = self._bounds[-1] - passed[-1]
        if not allowed:
            return np.full(len(bits), -1, np.int64)
        place = mulhi(bits, np.full(len(bits), allowed, np.uint64))
        # Starts as they are where all intervals before them are cut out.
        place += passed[np.searchsorted(starts - passed[:-1], place, side="right")]
        return self._nodes[np.searchsorted(self._bounds, place, side="right") - 1].astype(np.int64)
