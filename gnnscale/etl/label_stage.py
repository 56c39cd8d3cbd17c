"""The label stage: what each entity did in the window after each anchor."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from gnnscale.config import Settings, build_graph_schema
from gnnscale.etl.tables import read_table, write_table
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery, Window
from gnnscale.query.anchors import AnchorPlan, Split, plan_anchors, show_time
from gnnscale.schema import DataError, Graph, GraphManifest

log = logging.getLogger(__name__)


def build_labels(session: SparkSession, lake: Lake, settings: Settings, manifest: GraphManifest) -> AnchorPlan:
    """Write ``labels_<query>``: entity, anchor_time (epoch seconds), targets (node ids, ascending), split.

    Entities with nothing in a window have no row for it. One pass over the facts serves every anchor.

    Raises:
        DataError: a split has no example.
    """
    graph = linked_graph(settings, manifest)
    query = PredictiveQuery(graph, settings.query.text)
    plan = anchor_plan(settings, query, manifest)
    facts = read_table(session, lake, f"nodes_{query.facts.name}").select(
        F.col(f"fk_{query.entity_link.column}").alias("entity"),
        F.col(f"fk_{query.target_link.column}").alias("target"),
        "time",
    )
    splits = plan.splits()
    labels = distinct_targets(facts, query.window, {anchor: str(split) for anchor, split in splits.items()})
    labels = labels.cache()
    counts = {row["split"]: row["count"] for row in labels.groupBy("split").count().collect()}
    for split in Split:
        if not counts.get(split):
            anchors = [anchor for anchor, of in splits.items() if of is split]
            raise DataError(
                f"no {query.entity.name} row has a {query.target.name} row in a {split} window: anchors "
                f"{show_time(anchors[0])} to {show_time(anchors[-1])}. Set anchors.test or anchors.train"
            )
    write_table(
        lake, f"labels_{settings.query.name}", labels.repartition(1).sortWithinPartitions("anchor_time", "entity")
    )
    labels.unpersist()
    log.info("labels_%s: %s", settings.query.name, ", ".join(f"{s} {counts[s]:,}" for s in Split))
    return plan


def distinct_targets(facts: DataFrame, window: Window, anchors: Mapping[int, str]) -> DataFrame:
    """LIST_DISTINCT of a foreign key in ``(anchor + start, anchor + end]``, for every anchor at once.

    Args:
        facts: columns entity, target (node ids, null where dangling) and time (epoch seconds).
        window: of the query.
        anchors: anchor time -> split.
    """
    plan = F.broadcast(facts.sparkSession.createDataFrame(sorted(anchors.items()), "anchor_time long, split string"))
    first, last = min(anchors) + window.start, max(anchors) + window.end
    inside = (F.col("time") > F.col("anchor_time") + window.start) & (
        F.col("time") <= F.col("anchor_time") + window.end
    )
    near = facts.where((F.col("time") > first) & (F.col("time") <= last)).dropna()
    return (
        near.join(plan, inside)
        .groupBy("entity", "anchor_time", "split")
        .agg(F.array_sort(F.collect_set("target")).alias("targets"))
        .select("entity", "anchor_time", "targets", "split")
    )


def linked_graph(settings: Settings, manifest: GraphManifest) -> Graph:
    """The graph with the links that were found when it was built."""
    graph = build_graph_schema(settings)
    for link in manifest.links:
        graph.add_link(link.table, link.column, link.parent)
    return graph


def anchor_plan(settings: Settings, query: PredictiveQuery, manifest: GraphManifest) -> AnchorPlan:
    """Anchors of the query over the facts' times, as the configuration says."""
    span = manifest.table(query.facts.name).time_range
    assert span is not None, "a query binds to facts that have times only"
    return plan_anchors(query.window, span, **settings.anchors.model_dump())
