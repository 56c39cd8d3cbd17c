"""The graph as a query without a window sees it: its events come part by part, all else always held."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gnnscale.query import DAY, part_of
from gnnscale.schema import EdgeType
from gnnscale.store.adjacency import ALWAYS, Adjacency
from gnnscale.store.features import NEVER, NodeFeatures
from gnnscale.store.graph_store import GraphStore


class ArrivalStore(GraphStore):
    """A graph whose events arrive in ten parts, one a day from the origin on.

    Args:
        store: the graph.
        event_table: table of the events.
    """

    def __init__(self, store: GraphStore, event_table: str) -> None:
        super().__init__(store.manifest, store.folder)
        self.event_table = event_table

    def pseudo_time(self) -> NDArray[np.int32]:
        """When each event arrives, in seconds after the origin, int32 ``[events]``."""
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


def view_for(store: GraphStore, event_table: str | None) -> GraphStore:
    """The graph with its events arriving part by part, or as it is where ``event_table`` is None."""
    return store if event_table is None else ArrivalStore(store, event_table)
