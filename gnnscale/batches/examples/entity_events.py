"""What entities have had, event by event, from the mapped graph: for roots of links, and for vectors of entities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.query import PredictiveQuery
from gnnscale.schema import EdgeType
from gnnscale.store import GraphStore


class Had(NamedTuple):
    """Distinct targets that some examples' entities had, in order of (example, target).

    Args:
        example: position of the example, int64 ``[pairs]``.
        target: node id, int64 ``[pairs]``.
        events: how many of the entity's events named it, int64 ``[pairs]``.
    """

    example: NDArray[np.int64]
    target: NDArray[np.int64]
    events: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class EntityEvents:
    """Events that name a target, in order of (entity, time).

    Args:
        indptr: int64 ``[entities + 1]``; events of entity i are ``indptr[i] : indptr[i + 1]``.
        targets: node ids, int64 ``[events]``.
        times: seconds after the graph's origin, int32 ``[events]``, ascending within an entity.
        n_targets: number of targets.
    """

    indptr: NDArray[np.int64]
    targets: NDArray[np.int64]
    times: NDArray[np.int32]
    n_targets: int

    @classmethod
    def read(cls, store: GraphStore, query: PredictiveQuery) -> Self:
        """All events of the graph.

        Args:
            store: of the graph.
            query: bound query of links, which says what is an entity, an event and a target.
        """
        events = store.adjacency(EdgeType(query.entity_link, reverse=True))
        named = store.adjacency(EdgeType(query.target_link, reverse=False))
        rows = np.asarray(events.neighbors)
        linked = named.degrees[rows] > 0
        indptr = np.concatenate([[0], np.cumsum(linked)])[np.asarray(events.indptr)].astype(np.int64)
        targets = np.asarray(named.neighbors)[named.indptr[rows[linked]]].astype(np.int64)
        return cls(indptr, targets, np.asarray(events.times)[linked], store.node_count(query.target.name))

    def had(self, entities: NDArray[np.int64], until: NDArray[np.int64], since: NDArray[np.int64] | None = None) -> Had:
        """Targets that entities had up to a time.

        Args:
            entities: node ids, int64 ``[examples]``.
            until: seconds after the graph's origin, ``[examples]``; events up to then count.
            since: events after then count, ``[examples]``; None for all.
        """
        first, last = self.indptr[entities], self.indptr[entities + 1]
        counts = last - first
        example = np.repeat(np.arange(len(entities)), counts)
        place = np.arange(len(example)) - np.repeat(np.cumsum(counts) - counts - first, counts)
        times = self.times[place]
        kept = times <= until[example]
        if since is not None:
            kept &= times > since[example]
        keys = example[kept] * np.int64(self.n_targets) + self.targets[place[kept]]
        pairs, events = np.unique(keys, return_counts=True)
        return Had(pairs // self.n_targets, pairs % self.n_targets, events)

    def past(self, entities: NDArray[np.int64], anchors: NDArray[np.int64]) -> Ragged:
        """Targets that entities had by their anchors, a row for each."""
        had = self.had(entities, anchors)
        return Ragged.from_pairs(had.example, had.target, len(entities))

    def demand(self, targets: NDArray[np.int64], until: NDArray[np.int64]) -> NDArray[np.int64]:
        """Events of anyone that named a target up to a time.

        Args:
            targets: node ids, int64 ``[pairs]``.
            until: seconds after the graph's origin, ``[pairs]``.
        """
        found = np.zeros(len(targets), np.int64)
        for end in np.unique(until):
            totals = np.bincount(self.targets[self.times <= end], minlength=self.n_targets)
            at = until == end
            found[at] = totals[targets[at]]
        return found
