"""The configured query against the graph as it was built."""

from __future__ import annotations

from gnnscale.config.load import build_graph_schema
from gnnscale.config.settings import Settings
from gnnscale.query import PredictiveQuery
from gnnscale.query.anchors import AnchorPlan, plan_anchors
from gnnscale.schema import DataError, GraphManifest


def bind_query(settings: Settings, manifest: GraphManifest) -> PredictiveQuery:
    """The query, bound to the links that were found when the graph was built.

    Raises:
        QueryError: the query does not fit the graph.
    """
    graph = build_graph_schema(settings)
    for link in manifest.links:
        graph.add_link(link.table, link.column, link.parent)
    return PredictiveQuery(graph, settings.query.text)


def plan_query_anchors(settings: Settings, query: PredictiveQuery, time_range: tuple[int, int] | None) -> AnchorPlan:
    """Anchors of the query over its facts' times, as the configuration says.

    Args:
        settings: section ``anchors`` counts.
        query: whose window is placed.
        time_range: first and last time of a fact, in epoch seconds.

    Raises:
        DataError: the facts have no time, or no window fits.
    """
    if time_range is None:
        raise DataError(f"no row of '{query.facts.name}' has a time")
    return plan_anchors(query.window, time_range, **settings.anchors.model_dump())
