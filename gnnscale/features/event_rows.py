"""The events of some entities in memory, oldest first, with the values that features are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gnnscale.features.relation import SHARES, EventColumn, Relation
from gnnscale.schema import EdgeType, FeatureManifest, Link
from gnnscale.store import ALWAYS, Adjacency, GraphStore

_LARGEST: Final = 1e30
"""Sums of what is larger would leave the range of 32 bits."""


ReadColumn = Callable[[GraphStore, str, EventColumn, NDArray[np.int64]], NDArray[Any]]
"""Values of a column of a table for some of its rows."""


@dataclass(frozen=True)
class EventRows:
    """Events of n entities, one entity after the other.

    Args:
        indptr: where each entity's begin, int64 ``[n + 1]``.
        stamps: seconds after the graph's origin, int32 ``[events]``, ascending within an entity; ``ALWAYS`` where an
            event always held.
        values: numerical columns, float64 ``[events, columns]``; NaN where one is missing.
        codes: small categorical columns, int32 ``[events, columns]``: 1 to :data:`SHARES`, 0 for anything else.
        parents: rows that the events name, numbered from 0 on within these events, int32 ``[events, links]``; -1 for
            none.
        named: how many there are of each link, int64 ``[links]``.
        since: when each event names its row of a link, int32 ``[events, links]``: a row may come after the event.
        number_links, code_links: link that a column comes over, int64 ``[columns]``; -1 for the events' own.
    """

    indptr: NDArray[np.int64]
    stamps: NDArray[np.int32]
    values: NDArray[np.float64]
    codes: NDArray[np.int32]
    parents: NDArray[np.int32]
    named: NDArray[np.int64]
    since: NDArray[np.int32]
    number_links: NDArray[np.int64]
    code_links: NDArray[np.int64]


class EventSource(Protocol):
    """Where the events of a relation come from."""

    @property
    def relation(self) -> Relation:
        """What they are of."""
        ...

    @property
    def adjacency(self) -> Adjacency:
        """From the rows that the relation's path begins at to its events, or to the first of two links."""
        ...

    @property
    def behind(self) -> Adjacency | None:
        """From those to its events, where there are two links."""
        ...

    def until(self, nodes: NDArray[np.int64], anchors: NDArray[np.int32]) -> NDArray[np.int32]:
        """The last second that counts of each example, int32 ``[examples]``."""
        ...

    def read(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> EventRows:
        """Events along stretches of :attr:`adjacency`, int64 ``[n]``."""
        ...


@dataclass(frozen=True, eq=False)
class RelationEvents:
    """Events of the graph.

    Args:
        store: the graph.
        relation: of a table's rows.
    """

    store: GraphStore
    relation: Relation

    @property
    def adjacency(self) -> Adjacency:
        """Of the path's first link."""
        return self.store.adjacency(EdgeType(self.relation.path[0], reverse=True))

    @property
    def behind(self) -> Adjacency | None:
        """Of its second link."""
        path = self.relation.path
        return self.store.adjacency(EdgeType(path[1], reverse=True)) if path[1:] else None

    def until(self, nodes: NDArray[np.int64], anchors: NDArray[np.int32]) -> NDArray[np.int32]:
        """The anchor; on the way back the second before it, since a row is among those that name the row it names."""
        return second_before(anchors) if self.relation.returns else anchors

    def read(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> EventRows:
        """Events along stretches of edges."""
        return _read_events(self.store, self.relation, start, stop)


def _read_events(store: GraphStore, relation: Relation, start: NDArray[np.int64], stop: NDArray[np.int64]) -> EventRows:
    indptr, events, stamps = edges_of(store.adjacency(EdgeType(relation.path[0], reverse=True)), start, stop)
    for link in relation.path[1:]:
        indptr, events, stamps = _behind(store.adjacency(EdgeType(link, reverse=True)), indptr, events, stamps)
    climbed = {link: climb(store, (link,), events) for link in relation.parents}
    rows = {link: found for link, (found, _) in climbed.items()}
    since = np.empty((len(events), len(rows)), np.int32)
    for i, (_, times) in enumerate(climbed.values()):
        since[:, i] = times
    values = np.empty((len(events), len(relation.numbers)))
    for i, column in enumerate(relation.numbers):
        values[:, i] = _read(store, relation.table, column, events, rows, _decoded)
    codes = np.empty((len(events), len(relation.categories)), np.int32)
    for i, column in enumerate(relation.categories):
        codes[:, i] = _read(store, relation.table, column, events, rows, _shared_codes)
    parents = np.empty((len(events), len(rows)), np.int32)
    named = np.zeros(len(rows), np.int64)
    for i, own in enumerate(rows.values()):
        distinct, number = np.unique(own, return_inverse=True)
        none = int(len(distinct) > 0 and distinct[0] < 0)
        parents[:, i], named[i] = number - none, len(distinct) - none
    links = (_links(relation.numbers, relation.parents), _links(relation.categories, relation.parents))
    return EventRows(indptr, stamps, values, codes, parents, named, since, *links)


def _links(columns: Sequence[EventColumn], parents: Sequence[Link]) -> NDArray[np.int64]:
    """Place of the link that each column comes over; -1 for none."""
    return np.array([-1 if c.via is None else parents.index(c.via) for c in columns], np.int64)


def climb(
    store: GraphStore, ups: Sequence[Link], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The row that each row names by one foreign key after the other.

    Args:
        store: the graph.
        ups: foreign keys; of none, the rows themselves.
        rows: node ids, int64 ``[rows]``.

    Returns:
        Node ids, int64 ``[rows]``, -1 for none; and since when each is named, int32 ``[rows]``, seconds after the
        graph's origin: from when both ends of every edge are there.
    """
    since = np.full(len(rows), ALWAYS, np.int32)
    for link in ups:
        adjacency = store.adjacency(EdgeType(link, reverse=False))
        at = np.maximum(rows, 0)
        start = np.asarray(adjacency.indptr[at])
        linked = (rows >= 0) & (np.asarray(adjacency.indptr[at + 1]) > start)
        rows = np.full(len(rows), -1, np.int64)
        rows[linked] = adjacency.neighbors[start[linked]]
        since[linked] = np.maximum(since[linked], adjacency.times[start[linked]])
    return rows, since


def climb_at(
    store: GraphStore, ups: Sequence[Link], rows: NDArray[np.int64], anchors: NDArray[np.int32]
) -> NDArray[np.int64]:
    """The same at anchors, int32 ``[rows]``: -1 also where a row that is named on the way comes after the anchor."""
    found, since = climb(store, ups, rows)
    return np.where(since <= anchors, found, -1)


def second_before(times: NDArray[np.int32]) -> NDArray[np.int32]:
    """Times less a second; none is before ``ALWAYS``."""
    return np.maximum(times, np.int32(ALWAYS + 1)) - np.int32(1)


def decode(encoded: NDArray[np.float32], feature: FeatureManifest) -> NDArray[np.float64]:
    """Raw values of an encoded numerical column, as far as their encoding keeps them; NaN where one is missing.

    Outliers are clipped by the encoding. A missing value is encoded as the mean, 0, which one that is there hardly
    ever hits.
    """
    value = encoded.astype(np.float64) * feature.std + feature.mean
    value = np.sign(value) * np.expm1(np.abs(value)) if feature.log else value
    value = np.clip(value, -_LARGEST, _LARGEST)
    return np.where((encoded == 0) & (feature.missing > 0), np.nan, value)


def edges_of(
    adjacency: Adjacency, start: NDArray[np.int64], stop: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Neighbors along stretches of edges.

    Args:
        adjacency: has the edges.
        start, stop: of each stretch, int64 ``[n]``.

    Returns:
        Where those of each stretch begin, int64 ``[n + 1]``; their node ids, int64, and their times, int32.
    """
    indptr = np.zeros(len(start) + 1, np.int64)
    np.cumsum(stop - start, out=indptr[1:])
    at = np.arange(indptr[-1]) + np.repeat(start - indptr[:-1], stop - start)
    return indptr, np.asarray(adjacency.neighbors[at]).astype(np.int64), np.asarray(adjacency.times[at])


def _behind(
    adjacency: Adjacency, indptr: NDArray[np.int64], events: NDArray[np.int64], stamps: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """The rows that name the events; each holds from when both it and its event do."""
    start, stop = np.asarray(adjacency.indptr[events]), np.asarray(adjacency.indptr[events + 1])
    within, rows, times = edges_of(adjacency, start, stop)
    counts = np.diff(within)
    times = np.maximum(times, np.repeat(stamps, counts))
    entity = np.repeat(np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)), counts)
    order = np.lexsort((rows, times, entity))
    bounds = np.zeros(len(indptr), np.int64)
    np.cumsum(np.bincount(entity, minlength=len(indptr) - 1), out=bounds[1:])
    return bounds, rows[order], times[order]


def _read(
    store: GraphStore,
    table: str,
    column: EventColumn,
    events: NDArray[np.int64],
    rows: Mapping[Link, NDArray[np.int64]],
    read: ReadColumn,
) -> NDArray[Any]:
    """A column for each event; what reads it is told NaN, or 0, where an event names no row."""
    if column.via is None:
        return read(store, table, column, events)
    own = rows[column.via]
    found = read(store, column.via.parent, column, np.maximum(own, 0))
    found[own < 0] = 0 if found.dtype == np.int32 else np.nan
    return found


def _decoded(store: GraphStore, table: str, column: EventColumn, nodes: NDArray[np.int64]) -> NDArray[np.float64]:
    return decode(np.asarray(store.features(table).numerical[nodes, column.place]), column.feature)


def _shared_codes(store: GraphStore, table: str, column: EventColumn, nodes: NDArray[np.int64]) -> NDArray[np.int32]:
    codes = np.asarray(store.features(table).categorical[nodes, column.place])
    # Categories are numbered by how frequent they are.
    return np.where(codes <= SHARES, codes, 0).astype(np.int32)
