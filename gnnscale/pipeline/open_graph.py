"""The graph of a lake as the configured query sees it."""

from __future__ import annotations

from gnnscale.config import Settings, bind_query
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.store import GraphStore, view_for


def open_graph(settings: Settings, lake: Lake, edges: bool = True) -> tuple[GraphStore, PredictiveQuery]:
    """Map the graph and bind the query; events of a query without a window arrive part by part.

    Args:
        settings: names the query.
        lake: holds the graph.
        edges: whether neighbors are mapped, beside features.

    Raises:
        LakeError: the lake holds no graph.
        QueryError: the query does not fit it.
    """
    store = GraphStore.open(lake, settings.lake.cache, edges)
    query = bind_query(settings, store.manifest)
    return view_for(store, query, lake), query
