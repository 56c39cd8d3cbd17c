"""The two sides of the graph of entities and targets, whose edges are the events that name both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from gnnscale.query import PredictiveQuery
from gnnscale.sampling import Neighborhoods
from gnnscale.schema import EdgeType
from gnnscale.store import GraphStore


class SampledEntries(NamedTuple):
    """Entries of the normalized adjacency's rows, row after row.

    Args:
        counts: of each row, int64 ``[nodes]``.
        others: nodes of the other side, int64 ``[entries]``.
        weights: float32 ``[entries]``.
    """

    counts: NDArray[np.int64]
    others: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class BipartiteSide:
    """Nodes of one side, and the way to the other through their events.

    Args:
        store: of the graph.
        events: from a node of this side to its events.
        others: from an event to the node of the other side.
        fanout: most events of a node that are drawn.
        seed: of the draws.
        weights: of events, float32 ``[events]``; None where all weigh 1.
        sums: of the weights in the order of this side's edges, from 0 on, float64 ``[edges + 1]``; None without.
    """

    store: GraphStore
    events: EdgeType
    others: EdgeType
    fanout: int
    seed: int
    weights: NDArray[np.float32] | None = None
    sums: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        store: GraphStore,
        events: EdgeType,
        others: EdgeType,
        fanout: int,
        seed: int,
        weights: NDArray[np.float32] | None,
    ) -> BipartiteSide:
        """A side with the sums that its degrees are read from."""
        if weights is None:
            return cls(store, events, others, fanout, seed)
        ordered = weights[np.asarray(store.adjacency(events).neighbors)]
        sums = np.concatenate([[0.0], np.cumsum(ordered, dtype=np.float64)])
        return cls(store, events, others, fanout, seed, weights, sums)

    def counts(self, nodes: NDArray[np.int64], anchor: int) -> NDArray[np.int64]:
        """Events of some nodes up to an anchor, int64 ``[nodes]``."""
        return Neighborhoods().count(self.store, self.events, nodes, np.int32(anchor))

    def degrees(self, nodes: NDArray[np.int64], anchor: int) -> NDArray[np.float64]:
        """The weights of these events together, float64 ``[nodes]``."""
        counts = self.counts(nodes, anchor)
        if self.sums is None:
            return counts.astype(np.float64)
        start = np.asarray(self.store.adjacency(self.events).indptr[nodes])
        found: NDArray[np.float64] = self.sums[start + counts] - self.sums[start]
        return found

    def draw(
        self, nodes: NDArray[np.int64], anchor: int, epoch: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Some events of nodes, at least one, and whom else they name.

        Returns:
            Positions of the nodes, ascending, and nodes of the other side, int64 ``[entries]``; what each event weighs
            for those that were not drawn, too, float64 ``[entries]``.
        """
        rule = Neighborhoods({self.events.name: self.fanout}, "uniform", self.seed, epoch=epoch, ended=True)
        found, _ = rule.find(self.store, self.events, nodes, np.int32(anchor))
        row, column = np.nonzero(found >= 0)
        events = found[row, column].astype(np.int64)
        drawn = np.bincount(row, minlength=len(nodes))
        share = (self.counts(nodes, anchor) / np.maximum(drawn, 1))[row]
        if self.weights is not None:
            share = share * self.weights[events]
        named, others = self.named(events, anchor)
        named &= share > 0
        return row[named], others[named], share[named]

    def named(self, events: NDArray[np.int64], anchor: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which events name a node of the other side by an anchor, bool ``[events]``, and which one, int64
        ``[events]``; 0 for the others."""
        edges = self.store.adjacency(self.others)
        start = np.asarray(edges.indptr[events])
        named = np.asarray(edges.indptr[events + 1]) > start
        named[named] = edges.times[start[named]] <= anchor
        others = np.zeros(len(events), np.int64)
        others[named] = edges.neighbors[start[named]]
        return named, others


class BipartiteSides:
    """Both sides of the graph, and the rows of its normalized adjacency.

    An event of weight w whose edges both hold at the anchor is an entry ``w / sqrt(d e)``, d and e being the weights of
    all events of its ends by then (LightGCN: He et al., 2020, equation 3); one that has ended since has still been.
    Where a node has more events than are drawn, each that is stands for as many as there are for one: over uniform
    draws the mean is the row itself.

    Args:
        store: of the graph.
        query: bound query of links, which says what is an entity, an event and a target.
        fanout: most events of a node that are drawn.
        seed: of the draws.
        weights: of events, float32 ``[events]``, 0 or more; None where all weigh 1.
    """

    def __init__(
        self,
        store: GraphStore,
        query: PredictiveQuery,
        fanout: int,
        seed: int = 0,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        by_entity, by_target = (EdgeType(link, reverse=True) for link in (query.entity_link, query.target_link))
        of_entity, of_target = (EdgeType(link, reverse=False) for link in (query.entity_link, query.target_link))
        self.entities, self.targets = (
            BipartiteSide.of(store, events, others, fanout, seed, weights)
            for events, others in ((by_entity, of_target), (by_target, of_entity))
        )
        self._there = store.features(query.target.name)
        self._kept: tuple[int, scipy.sparse.csr_matrix] | None = None

    def of_entities(self, nodes: NDArray[np.int64], anchor: int, epoch: int = 0) -> SampledEntries:
        """Rows of some entities, int64 ``[nodes]``, each once, at seconds after the graph's origin."""
        return _entries(self.entities, self.targets, nodes, anchor, epoch)

    def of_targets(self, nodes: NDArray[np.int64], anchor: int, epoch: int = 0) -> SampledEntries:
        """Rows of some targets, in the same way."""
        return _entries(self.targets, self.entities, nodes, anchor, epoch)

    def matrix(self, anchor: int) -> scipy.sparse.csr_matrix:
        """Weights of all pairs at an anchor, float32 CSR ``[entities, targets]``; not to be changed: that of the latest
        anchor is kept."""
        if self._kept is None or self._kept[0] != anchor:
            self._kept = anchor, self._matrix(anchor)
        return self._kept[1]

    def _matrix(self, anchor: int) -> scipy.sparse.csr_matrix:
        side = self.entities
        edges = side.store.adjacency(side.events)
        early = np.asarray(edges.times) <= anchor
        rows = np.repeat(np.arange(len(edges.degrees)), edges.degrees)[early]
        events = np.asarray(edges.neighbors)[early].astype(np.int64)
        named, others = side.named(events, anchor)
        rows, events, others = rows[named], events[named], others[named]
        weights = np.ones(len(events), np.float32) if side.weights is None else side.weights[events]
        shape = len(edges.degrees), len(side.store.adjacency(self.targets.events).degrees)
        found = scipy.sparse.csr_matrix((weights, (rows, others)), shape=shape)
        found.eliminate_zeros()
        return found

    def all_degrees(self, anchor: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights of all events up to an anchor of each entity, ``[entities]``, and of each target, ``[targets]``."""
        entities, targets = (
            side.degrees(np.arange(len(side.store.adjacency(side.events).degrees)), anchor)
            for side in (self.entities, self.targets)
        )
        return entities, targets

    def are_there(self, targets: NDArray[np.int64], anchor: int) -> NDArray[np.bool_]:
        """Which targets are there at an anchor, bool ``[targets]``."""
        return np.asarray(self._there.is_valid_at(targets, anchor))


def _entries(
    own: BipartiteSide, other: BipartiteSide, nodes: NDArray[np.int64], anchor: int, epoch: int
) -> SampledEntries:
    if not len(nodes):
        return SampledEntries(nodes, nodes, np.zeros(0, np.float32))
    row, others, weights = own.draw(nodes, anchor, epoch)
    distinct, place = np.unique(others, return_inverse=True)
    degree, of_other = own.degrees(nodes, anchor)[row], other.degrees(distinct, anchor)[place]
    weights = weights / np.sqrt(degree * np.maximum(of_other, 1e-12))
    return SampledEntries(np.bincount(row, minlength=len(nodes)), others, weights.astype(np.float32))
