"""The graph as a query without a window sees it: its events come part by part, all else always held."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.lake import Lake
from gnnscale.query import DAY, GIVEN_PARTS, PredictiveQuery, Split, part_of, training_part_of
from gnnscale.schema import DataError, EdgeType
from gnnscale.store.adjacency import ALWAYS, Adjacency
from gnnscale.store.features import NEVER, NodeFeatures
from gnnscale.store.graph_store import GraphStore


class ArrivalStore(GraphStore):
    """A graph whose events arrive in ten parts, one a day from the origin on.

    Args:
        store: the graph.
        event_table: table of the events.
        splits: split of each event, where one is given: the last two parts are those that it sets aside.

    Raises:
        DataError: a split is none of ``train``, ``validation`` and ``test``.
    """

    def __init__(self, store: GraphStore, event_table: str, splits: pa.ChunkedArray | None = None) -> None:
        super().__init__(store.manifest, store.folder)
        self.event_table = event_table
        self._parts = None if splits is None else given_parts(splits, event_table)

    def pseudo_time(self) -> NDArray[np.int32]:
        """When each event arrives, in seconds after the origin, int32 ``[events]``."""
        parts = self._parts
        if parts is None:
            parts = part_of(np.arange(self.node_count(self.event_table), dtype=np.int64)).astype(np.int64)
        times: NDArray[np.int32] = ((parts + 1) * DAY).astype(np.int32)
        return times

    def adjacency(self, edge_type: EdgeType) -> Adjacency:
        """Neighbors along one edge type, those of the events in order of arrival."""
        name = edge_type.table_name
        if name not in self._adjacency:
            whole = Adjacency.open(self.folder / name)
            self._adjacency[name] = self._arriving(whole, edge_type)
        return self._adjacency[name]

    def features(self, table: str) -> NodeFeatures:
        """Encoded features; the rows of every table but the event table always hold."""
        if table not in self._features:
            features = NodeFeatures.open(self.folder / f"nodes_{table}")
            times = self.pseudo_time() if table == self.event_table else _whenever(features.times)
            self._features[table] = replace(features, times=times, valid_until=None)
        return self._features[table]

    def _arriving(self, whole: Adjacency, edge_type: EdgeType) -> Adjacency:
        sources = np.repeat(np.arange(len(whole.degrees)), whole.degrees)
        neighbors = np.asarray(whole.neighbors)
        times = np.full(len(neighbors), ALWAYS, np.int32)
        if edge_type.source == self.event_table:
            times = self.pseudo_time()[sources]
        elif edge_type.target == self.event_table:
            times = self.pseudo_time()[neighbors]
        order = np.lexsort((neighbors, times, sources))
        cumulative = whole.cumulative
        if cumulative is not None:
            cumulative = np.concatenate([cumulative[:1], np.cumsum(np.diff(cumulative)[order])])
        return Adjacency(np.asarray(whole.indptr), neighbors[order], times[order], cumulative)


def _whenever(times: NDArray[np.int32]) -> NDArray[np.int32]:
    """Times that always hold, but for nodes that are never there."""
    return np.where(times == NEVER, NEVER, ALWAYS).astype(np.int32)


def given_parts(splits: pa.ChunkedArray, table: str) -> NDArray[np.int64]:
    """Part of each event by its given split, int64 ``[events]``.

    Args:
        splits: of the events, in order of node id.
        table: of the events, for messages.

    Raises:
        DataError: a split is none of ``train``, ``validation`` and ``test``.
    """
    names = [str(split) for split in Split]
    code = pc.fill_null(pc.index_in(splits, value_set=pa.array(names)), -1).to_numpy()
    if (code < 0).any():
        first = splits[int((code < 0).argmax())].as_py()
        raise DataError(
            f"{int((code < 0).sum()):,} rows of '{table}' are of split {first!r}; allowed are {', '.join(names)}"
        )
    parts: NDArray[np.int64] = training_part_of(np.arange(len(code), dtype=np.int64)).astype(np.int64)
    for split, part in GIVEN_PARTS.items():
        parts[code == names.index(str(split))] = part
    return parts


def view_for(store: GraphStore, query: PredictiveQuery, lake: Lake) -> GraphStore:
    """The graph with the events of a query arriving part by part, or as it is where they have times.

    Args:
        store: the graph.
        query: bound query.
        lake: holds the events' given split, where there is one.

    Raises:
        DataError: an event has a split that there is not.
    """
    table, splits = query.pseudo_timed_tables, None
    if table is None:
        return store
    if query.split_column is not None:
        column = f"raw_{query.split_column}"
        rows = lake.read(f"nodes_{table}", ["node_id", column], store.manifest.table(table).version)
        splits = rows.sort_by("node_id")[column]
    return ArrivalStore(store, table, splits)
