"""The configured query against the graph as it was built."""

from __future__ import annotations

from collections.abc import Mapping

from gnnscale.config.load import build_graph_schema
from gnnscale.config.settings import Settings
from gnnscale.query import AnchorPlan, Horizon, PredictiveQuery, plan_anchors, plan_pseudo_time
from gnnscale.schema import DataError, GraphManifest

TimeRanges = Mapping[str, tuple[int, int] | None]


def bind_query(settings: Settings, manifest: GraphManifest) -> PredictiveQuery:
    """The query, bound to the links and columns that were found when the graph was built.

    Raises:
        QueryError: the query does not fit the graph.
    """
    graph = build_graph_schema(settings, {table.name: table.kinds for table in manifest.tables})
    for link in manifest.links:
        graph.add_link(link.table, link.column, link.parent)
    return PredictiveQuery(graph, settings.query.text)


def graph_origin(time_ranges: TimeRanges) -> int:
    """The first time of any row, in epoch seconds, which times in memory count from; 0 without times."""
    return min((span[0] for span in time_ranges.values() if span), default=0)


def plan_query_anchors(settings: Settings, query: PredictiveQuery, time_ranges: TimeRanges) -> AnchorPlan:
    """Anchors of the query over its events' times, as the configuration says.

    Args:
        settings: section ``anchors`` counts.
        query: whose windows are placed.
        time_ranges: table -> first and last time of its rows, in epoch seconds; None without times.

    Raises:
        DataError: the event table has no time, or no window fits.
    """
    if query.pseudo_timed_tables:
        return plan_pseudo_time(graph_origin(time_ranges))
    names = query.timed_event_tables or list(time_ranges)
    spans = [span for name in names if (span := time_ranges[name])]
    if query.timed_event_tables and len(spans) < len(names):
        missing = next(name for name in names if time_ranges[name] is None)
        raise DataError(f"no row of '{missing}' has a time")
    if query.is_static:
        known = (min(s for s, _ in spans), max(e for _, e in spans)) if spans else (0, 0)
    else:
        known = (min(s for s, _ in spans), min(e for _, e in spans))
    return plan_anchors(query.horizon if not query.is_static else Horizon(()), known, **settings.anchors.model_dump())
