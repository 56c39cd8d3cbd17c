"""What is known, at an anchor, of an entity and each of some targets, as plain columns."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged, share_rows
from gnnscale.features.event_rows import decode
from gnnscale.features.pairs.own_table_pairs import OwnTablePairs
from gnnscale.features.pairs.pair_kernel import ENTITY_FIGURES, GROUP_FIGURES, OWN_FIGURES, pair_features
from gnnscale.features.pairs.target_figures import TARGET_FIGURES, target_figures
from gnnscale.query import PredictiveQuery
from gnnscale.schema import EdgeType
from gnnscale.store import GraphStore

MOST_GROUPS: Final = 4
"""Categorical columns of the targets that group them, those with the most categories first."""

MOST_NUMBERS: Final = 3
"""Numerical columns of the events that are summed for each pair."""

Floats = NDArray[np.float32]


class PairFeatures:
    """Features of an entity and a target, from the events that join them.

    Of the entity's events that name the target: counts and days over windows and decayed, gaps, rates a visit, trends,
    shares of all that the entity did, amounts. Of its events of the target's groups (targets with the same value in a
    column), of all its events, and of the target by itself: how many name it lately, how many of those who had it had
    it again, and after how long. Then the target's own numerical columns.

    Only events stamped at or before the anchor count. The figures of targets are those of the latest anchors asked
    about, so examples of one anchor are best asked together.

    Args:
        store: the graph.
        query: bound query of a link task.
        threads: that share the work.

    Attributes:
        names: of the features.
        ranks_own_table: whether entities and targets are rows of one table.
        own_table: features of rows of one table that are ranked for each other; else None.
        item_of: target of each event, int32 ``[events]``; -1 for none.
    """

    def __init__(self, store: GraphStore, query: PredictiveQuery, threads: int = 1) -> None:
        self._store, self._query, self._threads = store, query, threads
        self.ranks_own_table = query.ranks_own_table
        manifest = store.manifest
        self.events = store.adjacency(EdgeType(query.entity_link, reverse=True))
        self.named = store.adjacency(EdgeType(query.target_link, reverse=True))
        self.item_of = _named_targets(store, query)
        figures = manifest.table(query.target.name)
        kept = sorted(range(len(figures.categorical)), key=lambda i: -len(figures.categorical[i].categories))
        self._group_columns = sorted(kept[:MOST_GROUPS])
        codes = np.asarray(store.features(query.target.name).categorical)[:, self._group_columns]
        self.groups = np.ascontiguousarray(codes, np.int32)
        sizes = [store.node_count(query.target.name)]
        sizes += [int(self.groups[:, g].max(initial=0)) + 1 for g in range(self.groups.shape[1])]
        self.offsets = np.cumsum(sizes).astype(np.int64)
        numbers = enumerate(manifest.table(query.event_table.name).numerical)
        hidden = {column for table, column in query.hidden_columns if table == query.event_table.name}
        summed = [(i, f) for i, f in numbers if f.type == "numerical" and f.column not in hidden]
        self._numbers = summed[:MOST_NUMBERS]
        own = [i for i, f in enumerate(figures.numerical) if f.type == "numerical"]
        self._target_columns = own
        names = [f"own_{name}" for name in OWN_FIGURES]
        for _, feature in self._numbers:
            names += [f"own_mean({feature.column})", f"own_sum({feature.column}, half 90d)"]
        for g in self._group_columns:
            names += [f"{figures.categorical[g].column}_{name}" for name in GROUP_FIGURES]
        names += [*ENTITY_FIGURES, *TARGET_FIGURES]
        fits = OwnTablePairs.fits(store, query)
        self.own_table = OwnTablePairs(store, query, self.events, self.item_of) if fits else None
        named = *names, *(f"target.{figures.numerical[i].column}" for i in own)
        self.names: tuple[str, ...] = (*named, *(self.own_table.names if self.own_table else ()))
        # The figures of a few anchors are kept: batches of one anchor come one after the other.
        self.figures = lru_cache(maxsize=2)(self._figures)

    def compute(self, entities: NDArray[np.int64], anchors: NDArray[np.int32], targets: Ragged) -> Floats:
        """Features of pairs.

        Args:
            entities: node ids, int64 ``[N]``.
            anchors: seconds after the graph's origin, int32 ``[N]``.
            targets: node ids of each example's targets, N rows.

        Returns:
            float32 ``[pairs, F]`` in the order of ``names``; NaN for what is not known.
        """
        found = np.empty((len(targets.values), len(self.names)), np.float32)
        pair = np.arange(len(targets.values))
        for anchor in np.unique(anchors):
            rows = np.flatnonzero(anchors == anchor)
            own = targets.take(rows)
            places = pair if len(rows) == len(anchors) else np.concatenate([_span(targets, int(row)) for row in rows])
            found[places] = self._at(entities[rows], int(anchor), own)
        return found

    def _at(self, entities: NDArray[np.int64], anchor: int, targets: Ragged) -> Floats:
        apart = len(self.own_table.names) if self.own_table else 0
        whole = len(self.names) - apart
        width = whole - len(self._target_columns)
        found = np.empty((len(targets.values), len(self.names)), np.float32)
        figures = self.figures(anchor)
        distinct, which = np.unique(entities, return_inverse=True)
        start, stop = self.events.indptr[distinct], self.events.indptr[distinct + 1]
        indptr = np.concatenate([[0], np.cumsum(stop - start)]).astype(np.int64)
        at = np.arange(indptr[-1]) + np.repeat(start - indptr[:-1], stop - start)
        events, stamps = np.asarray(self.events.neighbors[at]), np.asarray(self.events.times[at])
        values = np.empty((len(events), len(self._numbers)))
        encoded = self._store.features(self._query.event_table.name).numerical
        for i, (column, feature) in enumerate(self._numbers):
            values[:, i] = decode(np.asarray(encoded[events, column]), feature)
        items = self.item_of[events].astype(np.int64)
        anchors = np.full(len(entities), anchor, np.int32)

        def work(rows: slice) -> None:
            wanted = targets.indptr[rows.start : rows.stop + 1]
            mine = slice(wanted[0], wanted[-1])
            part = np.empty((mine.stop - mine.start, width), np.float32)
            pair_features(
                *(indptr, stamps, items, values, self.groups, self.offsets, which[rows], anchors[rows]),
                *(wanted - wanted[0], targets.values[mine], figures, part),
            )
            found[mine, :width] = part

        share_rows(len(entities), self._threads, work)
        own = self._store.features(self._query.target.name).numerical
        found[:, width:whole] = own[targets.values][:, self._target_columns]
        if self.own_table:
            found[:, whole:] = self.own_table.compute(entities, anchor, targets)
        return found

    def _figures(self, anchor: int) -> Floats:
        return target_figures(self.named, self.events, self.item_of, anchor)


def _named_targets(store: GraphStore, query: PredictiveQuery) -> NDArray[np.int32]:
    """Target of each event, int32 ``[events]``; -1 for none."""
    adjacency = store.adjacency(EdgeType(query.target_link, reverse=False))
    found = np.full(len(adjacency.indptr) - 1, -1, np.int32)
    linked = np.flatnonzero(adjacency.degrees)
    found[linked] = adjacency.neighbors[adjacency.indptr[linked]]
    return found


def _span(targets: Ragged, row: int) -> NDArray[np.int64]:
    return np.arange(targets.indptr[row], targets.indptr[row + 1])
