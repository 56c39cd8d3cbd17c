"""What is known at an anchor of answers of rows that name the same ones: of a loan, how its member's others went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from gnnscale.features.event_rows import EventRows, climb, climb_at, edges_of, second_before
from gnnscale.features.event_stretches import known_counts
from gnnscale.features.relation import SHARES, EventColumn, Relation, named_paths
from gnnscale.lake import Lake
from gnnscale.query import KNOWN_TIME, PredictiveQuery
from gnnscale.schema import FeatureManifest, LakeError, Link
from gnnscale.store import Adjacency, GraphStore

ANSWER: Final = "answer"

PRIOR: Final = 5.0
"""Answers that the mean of all answers counts for in a mean of few: those of one row would say too much."""


@dataclass(frozen=True)
class AnswerRelation(Relation):
    """Rows of the entity's table that name the same row, stamped with when their answers were known."""

    @property
    def name(self) -> str:
        """Such as ``member_id>loans.answer``."""
        return ">".join([*(link.column for link in self.ups), f"{self.table}.{ANSWER}"])


@dataclass(frozen=True, eq=False)
class AnswerHistory:
    """Answers of rows of one table, and since when each has been known.

    Args:
        store: the graph.
        ups: ways to the rows that rows of the table name, or that those name.
        rows: node ids, int64 ``[answers]``.
        known: seconds after the graph's origin, int32 ``[answers]``.
        values: float64 ``[answers, columns]``: a truth as 0 and 1, a number, or 0 and 1 for each of the first classes.
        names: of the columns.
    """

    store: GraphStore
    ups: tuple[tuple[Link, ...], ...]
    rows: NDArray[np.int64]
    known: NDArray[np.int32]
    values: NDArray[np.float64]
    names: tuple[str, ...]
    _adjacencies: dict[tuple[Link, ...], Adjacency] = field(default_factory=dict, init=False, repr=False)
    """Of each way up, as far as it was worked out; the values play no part in it."""

    def with_values(self, values: NDArray[np.float64]) -> AnswerHistory:
        """The same answers with other values of each column, such as their residuals to a model.

        Args:
            values: float64 ``[answers, columns]``.
        """
        found = replace(self, values=values)
        found._adjacencies.update({ups: self.adjacency(ups) for ups in self.ups})
        return found

    @classmethod
    def read(cls, lake: Lake, name: str, store: GraphStore, query: PredictiveQuery) -> AnswerHistory | None:
        """The answers of ``labels_<query>``.

        Args:
            lake: where the label stage wrote.
            name: of the query.
            store: the graph.
            query: bound query.

        Returns:
            None where the query does not say when they are known, and where the entity's rows name no others.

        Raises:
            LakeError: the labels were made without a word of when answers are known, or with another one.
        """
        ups = named_paths(store.manifest, query.entity.name, query.hidden_columns, query.hidden_tables)
        if query.known_after is None or not ups:
            return None
        record = lake.read_record(f"task_{name}") or {}
        if record.get("known_after") != str(query.known_after):
            raise LakeError(
                f"labels_{name} of lake {lake.uri} don't say of answers that they are known after {query.known_after}; "
                "run the labels stage again"
            )
        table = lake.read(f"labels_{name}", ["entity", "target", KNOWN_TIME])
        table = table.filter(pc.is_valid(table[KNOWN_TIME]))
        classes = record.get("classes", [])[:SHARES]
        values = _values(table["target"].combine_chunks(), classes)
        titles = tuple(f"{ANSWER}={label}" for label in classes) or (ANSWER,)
        seconds = table[KNOWN_TIME].to_numpy() - store.manifest.origin
        known = np.clip(seconds, -(2**31) + 1, 2**31 - 1).astype(np.int32)
        return cls(store, ups, table["entity"].to_numpy().astype(np.int64), known, values, titles)

    @property
    def sources(self) -> tuple[AnswerEvents, ...]:
        """One for each way up."""
        manifests = [FeatureManifest(name, "numerical") for name in self.names]
        numbers = tuple(EventColumn(None, place, manifest) for place, manifest in enumerate(manifests))
        # Down again at once: the answers are of rows that are reached by the same way.
        return tuple(AnswerEvents(self, AnswerRelation(ups[::-1], numbers, ups=ups)) for ups in self.ups)

    def times(self, nodes: NDArray[np.int64], anchors: NDArray[np.int32]) -> NDArray[np.int32]:
        """The last second that counts of each example: before its anchor, and before its own answer was known.

        A row that is asked about after its answer was known must not be told it.

        Args:
            nodes: of the examples, int64 ``[N]``.
            anchors: seconds after the graph's origin, int32 ``[N]``.
        """
        rows, known = self._by_row
        if not len(rows):
            return second_before(anchors)
        place = np.minimum(np.searchsorted(rows, nodes), len(rows) - 1)
        own = np.where(rows[place] == nodes, known[place], np.int32(2**31 - 1))
        return second_before(np.minimum(anchors, own).astype(np.int32))

    @cached_property
    def _by_row(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Rows, ascending, and since when their answers are known."""
        order = np.argsort(self.rows, kind="stable")
        return self.rows[order], self.known[order]

    @cached_property
    def _all(self) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """When answers were known, ascending, and the sums of the first of them, ``[answers + 1, columns]``."""
        order = np.argsort(self.known, kind="stable")
        sums = np.zeros((len(order) + 1, self.values.shape[1]))
        np.cumsum(self.values[order], axis=0, out=sums[1:])
        return self.known[order], sums

    @cached_property
    def _sums(self) -> dict[tuple[Link, ...], NDArray[np.float64]]:
        """Along each way up, as far as it was worked out, the sum of a row's answers up to every edge."""
        return {}

    def adjacency(self, ups: tuple[Link, ...]) -> Adjacency:
        """From a row that is named to the answers of those that name it, by when they were known."""
        if ups not in self._adjacencies:
            self._adjacencies[ups] = self._read_way(ups)
        return self._adjacencies[ups]

    def _sums_along(self, ups: tuple[Link, ...]) -> NDArray[np.float64]:
        """Sums of each row's answers up to every edge of :meth:`adjacency`, ``[edges, columns]``."""
        if ups not in self._sums:
            adjacency = self.adjacency(ups)
            self._sums[ups] = _running(adjacency.indptr, self.values[adjacency.neighbors])
        return self._sums[ups]

    def _read_way(self, ups: tuple[Link, ...]) -> Adjacency:
        parents, since = climb(self.store, ups, self.rows)
        # Of a row that comes later, nobody knows before which answers are its.
        known = np.maximum(self.known, since)
        order = np.lexsort((known, parents))
        order = order[np.searchsorted(parents[order], 0) :]
        nodes = self.store.node_count(ups[-1].parent)
        indptr = np.searchsorted(parents[order], np.arange(nodes + 1)).astype(np.int64)
        return Adjacency(indptr, order.astype(np.int32), known[order])

    def means(self, nodes: NDArray[np.int64], anchors: NDArray[np.int32]) -> NDArray[np.float32]:
        """Means of the answers of rows that name the same row, as far as they are known before an anchor.

        ``(sum + PRIOR * mean of all that are known by then) / (count + PRIOR)``.

        Args:
            nodes: of the examples, int64 ``[N]``.
            anchors: seconds after the graph's origin, int32 ``[N]``.

        Returns:
            float32 ``[N, ways, columns]``; NaN where no answer of any row is known.
        """
        times = self.times(nodes, anchors)
        known_times, sums_of_all = self._all
        count = np.searchsorted(known_times, times, side="right")[:, None]
        with np.errstate(invalid="ignore"):
            prior = sums_of_all[count[:, 0]] / np.where(count, count, np.nan)
        found = np.empty((len(nodes), len(self.ups), len(self.names)), np.float32)
        for place, ups in enumerate(self.ups):
            adjacency, sums = self.adjacency(ups), self._sums_along(ups)
            named = climb_at(self.store, ups, nodes, anchors)
            told, parents = named >= 0, np.maximum(named, 0)
            known = np.where(told, known_counts(adjacency, parents, times), 0)
            total = np.zeros((len(nodes), len(self.names)))
            some = known > 0
            total[some] = sums[adjacency.indptr[parents[some]] + known[some] - 1]
            found[:, place] = (total + PRIOR * prior) / (known[:, None] + PRIOR)
        return found


@dataclass(frozen=True, eq=False)
class AnswerEvents:
    """Answers along one way up, as events; see :class:`gnnscale.features.event_rows.EventSource`."""

    history: AnswerHistory
    relation: AnswerRelation
    behind: None = None

    @property
    def adjacency(self) -> Adjacency:
        """From a row that is named to the answers of those that name it."""
        return self.history.adjacency(self.relation.ups)

    def until(self, nodes: NDArray[np.int64], anchors: NDArray[np.int32]) -> NDArray[np.int32]:
        """Before the anchor, and before the example's own answer was known."""
        return self.history.times(nodes, anchors)

    def read(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> EventRows:
        """Answers along stretches of edges."""
        indptr, places, stamps = edges_of(self.adjacency, start, stop)
        none, nothing = np.zeros((len(places), 0), np.int32), np.zeros(0, np.int64)
        own = np.full(len(self.history.names), -1, np.int64)
        values = self.history.values[places]
        return EventRows(indptr, stamps, values, none, none, nothing, none, own, nothing)


@njit(nogil=True, cache=True)
def _running(indptr, values):  # type: ignore[no-untyped-def]
    """Sums of each node's first edges, anew for each node: what others have, or later, changes no bit of them."""
    found = np.empty_like(values)
    for node in range(len(indptr) - 1):
        for place in range(indptr[node], indptr[node + 1]):
            for column in range(values.shape[1]):
                before = found[place - 1, column] if place > indptr[node] else 0.0
                found[place, column] = before + values[place, column]
    return found


def _values(target: pa.Array, classes: Sequence[str]) -> NDArray[np.float64]:
    if not classes:
        numbers: NDArray[Any] = target.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return numbers[:, None]
    values = np.zeros((len(target), len(classes)))
    row, items = np.arange(len(target)), target
    if pa.types.is_list(target.type) or pa.types.is_large_list(target.type):
        row, items = np.repeat(row, pc.list_value_length(target).to_numpy(zero_copy_only=False)), target.flatten()
    codes = pc.fill_null(pc.index_in(items, value_set=pa.array(classes, pa.string())), -1)
    code = codes.to_numpy(zero_copy_only=False)
    values[row[code >= 0], code[code >= 0]] = 1
    return values
