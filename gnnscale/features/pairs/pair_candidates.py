"""Targets that are worth scoring for an entity: what it has had, and what it has not, by plain rules."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.arrays import Ids, Ragged
from gnnscale.features.pairs.pair_features import PairFeatures
from gnnscale.features.tally import known_events
from gnnscale.store import NodeFeatures

PER_GROUP = 5
"""Popular targets of a group that an entity's events are of."""

RECENT = 1
"""Place of the figure that popularity is: events of the last 28 days."""


class Candidates:
    """Finds candidates.

    Of what the entity has had, the latest; of the others, half from what is popular in the groups of what it has had,
    and the rest from what is popular at all. Where rows of one table that has texts are ranked for each other, half of
    the others are those of the nearest texts. Targets that are not there at the anchor are none, nor is the entity.

    Args:
        features: of pairs, which know the events.
        rows: of the targets' table.
        own: most that the entity has had.
        new: most that it has not.
    """

    def __init__(self, features: PairFeatures, rows: NodeFeatures, own: int, new: int) -> None:
        self._features, self._rows, self._own, self._new = features, rows, own, new
        self._itself = features.ranks_own_table

    def find(self, entities: NDArray[np.int64], anchor: int) -> tuple[Ragged, NDArray[np.bool_]]:
        """Candidates of some entities at one anchor.

        Args:
            entities: node ids, int64 ``[N]``.
            anchor: seconds after the graph's origin.

        Returns:
            Targets of each entity, ascending; and whether the entity has had them, bool ``[pairs]``.
        """
        features = self._features
        valid = np.asarray(self._rows.is_valid_at(np.arange(len(self._rows.times)), anchor))
        recent = np.nan_to_num(features.figures(anchor)[:, RECENT])
        popular = np.argsort(-recent, kind="stable")
        popular = popular[valid[popular] & (recent[popular] > 0)]
        groups = features.groups
        finest = int(np.argmax(np.diff(features.offsets))) if groups.shape[1] else -1
        codes = groups[:, finest] if finest >= 0 else np.zeros(len(groups), np.int32)
        leading = _leading(popular, codes, int(codes.max(initial=0)) + 1 if finest >= 0 else 1)
        events = features.events
        arrays = (events.indptr, events.neighbors, events.times, features.item_of, codes)
        texts = features.own_table if features.own_table and features.own_table.has_texts else None
        new = self._new - self._new // 2 if texts else self._new
        limits = (self._own, new, new // 2 if finest >= 0 else 0)
        found, had, counts = _candidates(*arrays, entities, anchor, valid, popular, leading, *limits)
        row = np.repeat(np.arange(len(entities)), counts)
        if texts:
            row, found, had = _joined(row, found, had, texts.nearest(entities, anchor, self._new // 2))
        if self._itself:
            kept = found != entities[row]
            row, found, had = row[kept], found[kept], had[kept]
        indptr = np.searchsorted(row, np.arange(len(entities) + 1)).astype(np.int64)
        order = np.lexsort((found, row))
        return Ragged(indptr, found[order], checked=False), had[order]


def _joined(row: Ids, found: Ids, had: NDArray[np.bool_], further: Ids) -> tuple[Ids, Ids, NDArray[np.bool_]]:
    """Candidates and those of further ones, ``[N, k]``, that are none yet, by their rows."""
    width = 1 + max(int(found.max(initial=0)), int(further.max(initial=0)))
    rows, places = np.nonzero(further >= 0)
    values = further[rows, places]
    new = ~np.isin(rows * width + values, row * width + found)
    row, found = np.concatenate([row, rows[new]]), np.concatenate([found, values[new]])
    had = np.concatenate([had, np.zeros(int(new.sum()), np.bool_)])
    order = np.argsort(row, kind="stable")
    return row[order], found[order], had[order]


def _leading(popular: NDArray[np.int64], codes: NDArray[np.int32], groups: int) -> NDArray[np.int64]:
    """The most popular targets of each group, int64 ``[groups, PER_GROUP]``; -1 behind the last."""
    own = codes[popular]
    order = np.argsort(own, kind="stable")
    own = own[order]
    rank = np.arange(len(own)) - np.searchsorted(own, own)
    kept = rank < PER_GROUP
    leading = np.full((groups, PER_GROUP), -1, np.int64)
    leading[own[kept], rank[kept]] = popular[order[kept]]
    return leading


@njit(nogil=True, cache=True)
def _candidates(indptr, neighbors, stamps, item_of, codes, entities, anchor, valid, popular, leading, own, new, near):  # type: ignore[no-untyped-def]
    """Targets, whether each was had, and how many of each entity; see :class:`Candidates`."""
    found = np.empty(len(entities) * (own + new), np.int64)
    had = np.empty(len(found), np.bool_)
    counts = np.zeros(len(entities), np.int64)
    # Who a target was last had by, or proposed to; groups by whom they were last looked at.
    seen, offered, looked = (
        np.full(len(valid), -1, np.int64),
        np.full(len(valid), -1, np.int64),
        np.full(len(leading), -1, np.int64),
    )
    at = 0
    for row in range(len(entities)):
        first, low = at, indptr[entities[row]]
        last = known_events(stamps, low, indptr[entities[row] + 1], anchor)
        for place in range(last - 1, low - 1, -1):
            item = item_of[neighbors[place]]
            if item >= 0 and seen[item] != row:
                seen[item] = row
                if at - first < own and valid[item]:
                    found[at], had[at] = item, True
                    at += 1
        start = at
        for place in range(last - 1, low - 1, -1):
            item = item_of[neighbors[place]]
            if at - start >= near:
                break
            if item < 0 or looked[codes[item]] == row or codes[item] == 0:
                continue
            looked[codes[item]] = row
            for other in leading[codes[item]]:
                if other >= 0 and seen[other] != row and offered[other] != row and at - start < near:
                    offered[other] = row
                    found[at], had[at] = other, False
                    at += 1
        for other in popular:
            if at - start >= new:
                break
            if seen[other] != row and offered[other] != row:
                found[at], had[at] = other, False
                at += 1
        counts[row] = at - first
    return found[:at], had[:at], counts
