"""The label stage: what each entity did in the window after each anchor."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from gnnscale.config import Settings, bind_query, plan_query_anchors
from gnnscale.etl.tables import read_table, write_table
from gnnscale.lake import Lake
from gnnscale.query import Window
from gnnscale.query.anchors import Split, show_time
from gnnscale.schema import DataError, GraphManifest


def build_labels(session: SparkSession, lake: Lake, settings: Settings, manifest: GraphManifest) -> dict[str, int]:
    """Write ``labels_<query>``: entity, anchor_time (epoch seconds), targets (node ids, ascending), split.

    Entities with nothing in a window have no row for it. One pass over the facts serves every anchor.

    Returns:
        Split -> number of examples.

    Raises:
        DataError: a split has no example.
    """
    query = bind_query(settings, manifest)
    plan = plan_query_anchors(settings, query, manifest.table(query.facts.name).time_range)
    facts = read_table(session, lake, f"nodes_{query.facts.name}").select(
        F.col(f"fk_{query.entity_link.column}").alias("entity"),
        F.col(f"fk_{query.target_link.column}").alias("target"),
        "time",
    )
    splits = plan.splits()
    labels = distinct_targets(facts, query.window, {anchor: str(split) for anchor, split in splits.items()})
    if manifest.table(query.entity.name).time_range is not None:
        # Nobody is asked about before they are there.
        born = read_table(session, lake, f"nodes_{query.entity.name}").select(
            F.col("node_id").alias("entity"), F.col("time").alias("born")
        )
        labels = labels.join(born, "entity").where(F.col("born").isNull() | (F.col("born") <= F.col("anchor_time")))
        labels = labels.drop("born")
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
    return {str(split): counts[split] for split in Split}


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
