"""What is known of an entity at an anchor as plain columns, for models that take no graph and as inputs of networks.

Only events stamped at or before the anchor count. A window of d days is ``(anchor - d, anchor]``; the day of an event
is the number of whole days between it and the anchor. A decayed count is the sum of ``2^(-age / half-life)``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import share_rows
from gnnscale.features.answer_history import AnswerHistory
from gnnscale.features.event_rows import EventSource, RelationEvents, climb_at, decode
from gnnscale.features.event_stretches import Stretches, known_counts, plan_stretches
from gnnscale.features.known_answers import KnownAnswers
from gnnscale.features.moments import Moments
from gnnscale.features.relation import (
    LATEST,
    SHARES,
    EventColumn,
    Hidden,
    count_columns,
    named_paths,
    plan_relations,
)
from gnnscale.features.relation_kernel import relation_features
from gnnscale.features.relation_names import DAY, kept_features, relation_names
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.schema import Link
from gnnscale.store import ALWAYS, GraphStore

Floats = NDArray[np.float32]


class EntityFeatures:
    """Features of the rows of one table, from the events that lead to them and from their own columns.

    Along each link that points at the table, and each that points at those rows: counts of events and of distinct
    days with one, over windows and decayed; days since the last and the first; mean and deviation of the days between,
    and time since the last over that mean; events a day with any; recent windows against those of twice their length;
    rows that they name, each counted once; and of each numerical column sums, means, and sums a day, over windows and
    decayed (as raw values as far as their encoding keeps them; what is missing adds nothing). Of small categorical
    columns, of the events and of rows that they name, the shares of the most frequent categories. Then, in brief, the
    same of the rows that they name, or that those name, from their latest :data:`LATEST` events (of two links, NaN
    where the first has more): of a loan, what its member did before it. Then the rows' own columns and those of rows
    that they name, or that those name, dates as ages in days, and, where rows have a time, their age. Of events without
    times, only what needs none.

    Args:
        store: the graph.
        table: whose rows the features are of.
        hidden_columns: (table, column) of features that must not be used, because they are the target.
        hidden_tables: tables whose events must not be used.
        threads: that share the work.
        history: answers of earlier rows, where they are known.

    Attributes:
        names: of the features, such as ``count(purchases.customer_id, 28d)``.
    """

    def __init__(
        self,
        store: GraphStore,
        table: str,
        hidden_columns: Hidden = (),
        hidden_tables: Collection[str] = (),
        threads: int = 1,
        history: AnswerHistory | None = None,
    ) -> None:
        self._store, self._table, self._threads, self._history = store, table, threads, history
        manifest = store.manifest
        relations = plan_relations(manifest, table, hidden_columns, hidden_tables)
        answers = history.sources if history else ()
        self._sources: list[EventSource] = [*(RelationEvents(store, relation) for relation in relations), *answers]
        self._kept: list[NDArray[np.int64]] = []
        names: list[str] = []
        for source in self._sources:
            kept, texts = kept_features(source.relation)
            self._kept.append(np.array(kept, np.int64))
            names += texts
        self._own: list[tuple[tuple[Link, ...], EventColumn]] = []
        self._codes: list[tuple[tuple[Link, ...], EventColumn]] = []
        paths = named_paths(manifest, table, hidden_columns, hidden_tables)
        self._named_tables = Counter([table, *(path[-1].parent for path in paths)])
        for via in ((), *paths):
            numbers, codes = count_columns(manifest, via[-1].parent if via else table, hidden_columns)
            self._own += [(via, column) for column in numbers]
            self._codes += [(via, column) for column in codes]
        self._first_mean = len(names)
        names += [f"shrunk_mean({s.relation.name}, {c.name})" for s in answers for c in s.relation.numbers]
        names += [self._name(*own) for own in (*self._own, *self._codes)]
        span = manifest.table(table).time_range
        self._aged = span is not None
        self._moments = Moments(manifest.origin, span)
        self.names: tuple[str, ...] = (*names, *([f"age({table})"] if self._aged else []))

    @classmethod
    def of_query(
        cls, lake: Lake, name: str, store: GraphStore, query: PredictiveQuery, threads: int = 1
    ) -> EntityFeatures:
        """Those that a query may know of its entities, with earlier answers where it says when they are known.

        Args:
            lake: where the label stage wrote.
            name: of the query.
            store: the graph.
            query: bound query.
            threads: that share the work.

        Raises:
            LakeError: earlier answers are asked for, and the labels don't say when they are known.
        """
        history = AnswerHistory.read(lake, name, store, query)
        return cls(store, query.entity.name, query.hidden_columns, query.hidden_tables, threads, history)

    @property
    def tells_answers(self) -> bool:
        """Whether earlier answers are among them."""
        return self._history is not None

    def known_answers(
        self, entities: NDArray[np.int64], anchors: NDArray[np.int32], features: Floats
    ) -> KnownAnswers | None:
        """What N rows know of the answers of others; None where nobody says when answers are known.

        Args:
            entities: node ids, int64 ``[N]``.
            anchors: seconds after the graph's origin, int32 ``[N]``.
            features: what :meth:`compute` returned of them.
        """
        if self._history is None:
            return None
        ways, columns = len(self._history.ups), len(self._history.names)
        own = self._first_mean + ways * columns
        means = features[:, self._first_mean : own].reshape(len(features), ways, columns)
        beside = self._with_moments(features[:, own : own + len(self._own) + len(self._codes)], anchors)
        return KnownAnswers(self, self._history, entities, anchors, means, beside)

    @cached_property
    def column_categories(self) -> tuple[int, ...]:
        """Of each column of :meth:`columns_at`, how many categories its codes tell apart; 0 of a number."""
        counts = [len(column.feature.categories) for _, column in self._codes]
        return (*(0 for _ in self._own), *counts, *self._moments.categories)

    def columns_at(self, entities: NDArray[np.int64], anchors: NDArray[np.int32]) -> Floats:
        """The rows' own columns and those of rows that they name: numbers, ages in days, codes of categories; moments.

        Args:
            entities: node ids, int64 ``[N]``.
            anchors: seconds after the graph's origin, int32 ``[N]``.

        Returns:
            float32 ``[N, P]``; NaN, and the code 0, for what is missing.
        """
        found = np.empty((len(entities), len(self._own) + len(self._codes)), np.float32)
        for at, column in enumerate(self._own_columns(entities, anchors)):
            found[:, at] = column
        return self._with_moments(found, anchors)

    def _with_moments(self, columns: Floats, anchors: NDArray[np.int32]) -> Floats:
        return np.concatenate([columns, self._moments.columns(anchors)], axis=1)

    def times_of(self, entities: NDArray[np.int64]) -> NDArray[np.int32]:
        """The rows' own times, int32 ``[N]``; ``ALWAYS`` where there is none."""
        if not self._aged:
            return np.full(len(entities), ALWAYS, np.int32)
        found: NDArray[np.int32] = np.asarray(self._store.features(self._table).times)[entities]
        return found

    def compute(self, entities: NDArray[np.int64], anchors: NDArray[np.int32]) -> Floats:
        """The features of N rows.

        Args:
            entities: node ids, ``[N]``.
            anchors: seconds after the graph's origin, int32 ``[N]``.

        Returns:
            float32 ``[N, F]`` in the order of ``names``; NaN for what is not known, such as the days since what never
            was.
        """
        nodes, times = np.asarray(entities, np.int64), np.asarray(anchors, np.int32)
        found = np.empty((len(nodes), len(self.names)), np.float32)
        at = 0
        for source, kept in zip(self._sources, self._kept, strict=True):
            self._of_source(source, kept, nodes, times, found[:, at : at + len(kept)])
            at += len(kept)
        if self._history:
            means = self._history.means(nodes, times)
            width = means.shape[1] * means.shape[2]
            found[:, at : at + width] = means.reshape(len(nodes), width)
            at += width
        for column in (*self._own_columns(nodes, times), *self._ages(nodes, times)):
            found[:, at] = column
            at += 1
        return found

    def _of_source(
        self,
        source: EventSource,
        kept: NDArray[np.int64],
        nodes: NDArray[np.int64],
        anchors: NDArray[np.int32],
        out: Floats,
    ) -> None:
        adjacency, behind, ups = source.adjacency, source.behind, source.relation.ups
        if not ups:
            stretches = plan_stretches(adjacency, nodes, anchors, behind=behind)
            return self._of_events(source, kept, stretches, anchors, out)
        named, times = climb_at(self._store, ups, nodes, anchors), source.until(nodes, anchors)
        told = named >= 0
        if behind is not None:
            told[told] = known_counts(adjacency, named[told], times[told]) <= LATEST
        # Rows that name the same one at the same anchor share what is known of it.
        key = (named[told] << 32) + (times[told].astype(np.int64) - ALWAYS)
        distinct, which = np.unique(key, return_inverse=True)
        parents, times = distinct >> 32, ((distinct & 0xFFFFFFFF) + ALWAYS).astype(np.int32)
        found = np.empty((len(distinct), len(kept)), np.float32)
        stretches = plan_stretches(adjacency, parents, times, LATEST, behind)
        self._of_events(source, kept, stretches, times, found)
        out[~told], out[told] = np.nan, found[which]

    def _of_events(
        self,
        source: EventSource,
        kept: NDArray[np.int64],
        stretches: Stretches,
        anchors: NDArray[np.int32],
        out: Floats,
    ) -> None:
        relation = source.relation
        categories = np.array([min(SHARES, len(c.feature.categories)) for c in relation.categories], np.int64)
        width, most = len(relation_names(relation)), LATEST if relation.ups else np.iinfo(np.int64).max
        for part, rows in stretches.parts():
            events = source.read(stretches.start[part], stretches.stop[part])
            found = np.empty((len(rows), width), np.float32)
            arrays = (events.indptr, events.stamps, events.values, events.codes, events.parents, events.named)
            links = (events.since, events.number_links, events.code_links)
            entity, times = stretches.of[rows] - part.start, anchors[rows]

            def work(own: slice) -> None:
                rows = entity[own], times[own], found[own]  # noqa: B023
                relation_features(*arrays, *links, categories, most, *rows)  # noqa: B023

            share_rows(len(rows), self._threads, work)
            out[rows] = found if len(kept) == width else found[:, kept]

    def _name(self, via: tuple[Link, ...], column: EventColumn) -> str:
        table = via[-1].parent if via else self._table
        name = f"{table}.{column.feature.column}"
        if via and self._named_tables[table] > 1:
            # Both teams of a match are teams.
            name = f"{'>'.join(link.column for link in via)}>{name}"
        return f"age({name})" if column.feature.type == "timestamp" else name

    def _own_columns(self, nodes: NDArray[np.int64], anchors: NDArray[np.int32]) -> Iterator[NDArray[np.float64]]:
        origin = self._store.manifest.origin
        for via, column in self._own:
            rows, linked = self._named(via, nodes, anchors)
            table = via[-1].parent if via else self._table
            encoded = np.asarray(self._store.features(table).numerical[rows, column.place])
            value = encoded.astype(np.float64)
            value = np.where((encoded == 0) & (column.feature.missing > 0), np.nan, value)
            if column.feature.type == "timestamp":
                value = (anchors.astype(np.float64) + origin - decode(encoded, column.feature)) / DAY
            yield np.where(linked, value, np.nan)
        for via, column in self._codes:
            rows, linked = self._named(via, nodes, anchors)
            table = via[-1].parent if via else self._table
            yield np.where(linked, self._store.features(table).categorical[rows, column.place], 0).astype(np.float64)

    def _named(
        self, via: tuple[Link, ...], nodes: NDArray[np.int64], anchors: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The rows whose columns are read, and whether there are any."""
        found = climb_at(self._store, via, nodes, anchors)
        return np.maximum(found, 0), found >= 0

    def _ages(self, nodes: NDArray[np.int64], anchors: NDArray[np.int32]) -> Iterator[NDArray[np.float64]]:
        if self._aged:
            born = self.times_of(nodes).astype(np.int64)
            yield np.where(born == ALWAYS, np.nan, (anchors - born) / DAY)
