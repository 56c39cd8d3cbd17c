"""What is known of rows of one table that are ranked for each other: what like ones had, by their events and texts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from gnnscale.arrays import Ids, Ragged
from gnnscale.features.text_rows import Floats, nearest_texts, text_vectors, unit_vectors
from gnnscale.query import PredictiveQuery
from gnnscale.store import Adjacency, GraphStore

EVENT_FIGURES: Final = ("profile_cosine", "two_steps")
"""Of an entity and a target: the cosine of what both have had, in logarithms of counts; and the share of walks of two
steps from the entity, each to something that was had in proportion to how often, that end at the target."""

TEXT_FIGURES: Final = ("text_cosine", "had_text_cosine", "text_popularity", "like_entities_had", "had_like_target")
"""The cosine of the texts of both; of the target's text and the mean of what the entity has had; how often what is like
the target in text was named; how often rows that are like the entity have had the target, and how often rows that are
like the target have had the entity; counts as logarithms, weighed by the cosines."""

LIKE: Final = 20
"""Rows of the nearest texts that lend a row their events."""

LEAST: Final = 0.2
"""Cosine below which texts are not alike."""

MOST_ROWS: Final = 200_000
"""Rows of a table beyond which what joins any two of them is too much to hold."""


@dataclass(frozen=True, eq=False)
class _Entries:
    """Entries of a sparse matrix, by (row, column) as one number, ascending."""

    keys: Ids
    values: Floats
    columns: int

    @classmethod
    def of_matrix(cls, matrix: csr_matrix) -> _Entries:
        matrix.sort_indices()
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        return cls(row * matrix.shape[1] + matrix.indices, np.asarray(matrix.data, np.float32), matrix.shape[1])

    def of(self, row: Ids, column: Ids) -> Floats:
        """Entries, float32 ``[pairs]``; 0 where the matrix has none."""
        if not len(self.keys):
            return np.zeros(len(row), np.float32)
        wanted = row * self.columns + column
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[place] == wanted, self.values[place], np.float32(0))


@dataclass(frozen=True, eq=False)
class _Known:
    """What the events up to an anchor tell.

    Args:
        counts: logarithms of how often a row has had another, ``[rows, rows]``.
        profiles: the same, each row of length 1.
        steps: shares of how often, each row summing to 1.
        lent: what rows have had that are like a row, weighed by how like they are.
        lately: how often what is like a row was named, float32 ``[rows]``.
    """

    counts: csr_matrix
    profiles: csr_matrix
    steps: csr_matrix
    lent: _Entries
    lately: Floats


class OwnTablePairs:
    """Features of pairs of rows of one table, by the events of rows like them.

    Args:
        store: the graph.
        query: bound query that ranks rows of one table for each other.
        events: from an entity to its events.
        item_of: target of each event, int32 ``[events]``; -1 for none.

    Attributes:
        names: of the features.
        has_texts: whether rows have texts or vectors; without, features are of events alone.
    """

    def __init__(
        self, store: GraphStore, query: PredictiveQuery, events: Adjacency, item_of: NDArray[np.int32]
    ) -> None:
        self._rows = store.features(query.target.name)
        self._events, self._item_of = events, item_of
        self.count = store.node_count(query.target.name)
        self.has_texts = bool(self._rows.embedded)
        self.names = (*EVENT_FIGURES, *(TEXT_FIGURES if self.has_texts else ()))
        self.vectors = text_vectors(self._rows) if self.has_texts else np.zeros((self.count, 0), np.float32)
        self._like = self._alike() if self.has_texts else csr_matrix((self.count, self.count), dtype=np.float32)
        # Batches of one anchor come one after the other.
        self._known = lru_cache(maxsize=2)(self._known_at)

    @classmethod
    def fits(cls, store: GraphStore, query: PredictiveQuery) -> bool:
        """Whether rows of one table that is not too large are ranked for each other."""
        return query.ranks_own_table and store.node_count(query.target.name) <= MOST_ROWS

    def nearest(self, entities: Ids, anchor: int, k: int) -> Ids:
        """Targets that are there at an anchor and nearest in text, int64 ``[N, k]``, -1 after the last."""
        there = self._rows.is_valid_at(np.arange(self.count), anchor)
        return nearest_texts(self.vectors, entities, k, there)[0]

    def compute(self, entities: Ids, anchor: int, targets: Ragged) -> Floats:
        """Features, float32 ``[pairs, len(names)]``.

        Args:
            entities: node ids, int64 ``[N]``.
            anchor: seconds after the graph's origin; later events are not known.
            targets: of each entity, N rows.
        """
        known = self._known(anchor)
        row, target = targets.row_of_value, targets.values
        source = entities[row]
        found = np.zeros((len(target), len(self.names)), np.float32)
        alike = known.profiles[entities] @ known.profiles.T
        walked = known.steps[entities] @ known.steps
        found[:, 0] = _Entries.of_matrix(csr_matrix(alike)).of(row, target)
        found[:, 1] = _Entries.of_matrix(csr_matrix(walked)).of(row, target)
        if self.has_texts:
            profiles = unit_vectors(known.counts[entities] @ self.vectors)
            found[:, 2] = np.einsum("pd,pd->p", self.vectors[source], self.vectors[target])
            found[:, 3] = np.einsum("pd,pd->p", profiles[row], self.vectors[target])
            found[:, 4] = known.lately[target]
            found[:, 5] = known.lent.of(source, target)
            # Pairs are there in both directions, unless an event names one alone.
            found[:, 6] = known.lent.of(target, source)
        return found

    def _alike(self) -> csr_matrix:
        """Shares by which rows of near texts lend a row their events, ``[rows, rows]``."""
        count, every = self.count, np.ones(self.count, np.bool_)
        nodes, cosines = nearest_texts(self.vectors, np.arange(count), LIKE, every)
        cosines = np.where(cosines >= LEAST, cosines, 0)
        owner, shares = np.repeat(np.arange(count), LIKE), cosines / (cosines.sum(axis=1, keepdims=True) + 1)
        kept = (nodes.ravel() >= 0) & (cosines.ravel() > 0)
        return csr_matrix((shares.ravel()[kept], (owner[kept], nodes.ravel()[kept])), (count, count))

    def _known_at(self, anchor: int) -> _Known:
        events, count = self._events, self.count
        entity = np.repeat(np.arange(len(events.degrees)), events.degrees)
        item = self._item_of[np.asarray(events.neighbors)]
        kept = (np.asarray(events.times) <= anchor) & (item >= 0)
        times = csr_matrix((np.ones(int(kept.sum()), np.float32), (entity[kept], item[kept])), (count, count))
        times.sum_duplicates()
        counts = times.copy()
        counts.data = np.log1p(counts.data)
        lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
        sums = np.asarray(times.sum(axis=1)).ravel()
        popular = np.log1p(np.bincount(item[kept], minlength=count)).astype(np.float32)
        return _Known(
            counts,
            csr_matrix(diags(1 / np.maximum(lengths, 1e-6)) @ counts),
            csr_matrix(diags(1 / np.maximum(sums, 1)) @ times),
            _Entries.of_matrix(csr_matrix(self._like @ counts)),
            np.asarray(self._like @ popular, np.float32),
        )
