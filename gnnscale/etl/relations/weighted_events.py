"""Edges from rows that name two nodes."""

from __future__ import annotations

import logging
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from gnnscale.etl.labels.condition_columns import RAW
from gnnscale.etl.relations.periods import period_of
from gnnscale.schema import EventRelation

log = logging.getLogger(__name__)


def event_edges(events: DataFrame, relation: EventRelation, origin: int) -> DataFrame:
    """One edge for each event, or for each pair of nodes (and period) that has events.

    Args:
        events: ``nodes_<event table>``.
        relation: how edges are made.
        origin: of the graph, in epoch seconds.

    Returns:
        Columns ``source``, ``target`` (node ids, int64), ``time`` (epoch seconds of the event, or of the latest that
        the edge stands for; null where events have none) and, where edges have one, ``weight`` (float32).
    """
    events = _events(events, relation)
    weighted = "weight" in events.columns
    if weighted:
        events = events.where(_weighs())
    if relation.aggregate == "none":
        return events.select("source", "target", "time", *(["weight"] if weighted else []))
    pairs = events.withColumn("period", period_of(F.col("time"), relation.period_days, origin))
    sums = pairs.groupBy("source", "target", "period").agg(
        F.max("time").alias("time"), _total(relation).cast("float").alias("weight")
    )
    return sums.select("source", "target", "time", "weight")


def count_unweighted(events: DataFrame, relation: EventRelation) -> int:
    """Events of a pair that make no edge because they weigh nothing; logged.

    Args:
        events: ``nodes_<event table>``.
        relation: whose edges may have weights.
    """
    if not (relation.weight or relation.weight_by):
        return 0
    events = _events(events, relation)
    names = list(relation.weights)
    named = [F.count(F.when(F.col("type") == name, True)).alias(f"named_{i}") for i, name in enumerate(names)]
    row = events.agg(F.count(F.lit(1)).alias("all"), F.count(F.when(_weighs(), True)).alias("weighed"), *named).first()
    assert row is not None
    for i, name in enumerate(names):
        if row[f"named_{i}"] == 0:
            log.warning("relation %s: no row has %s '%s'", relation.name, relation.weight_by, name)
    missing: int = row["all"] - row["weighed"]
    if missing:
        log.warning(
            "relation %s: %s of %s events weigh nothing and make no edge",
            relation.name,
            f"{missing:,}",
            f"{row['all']:,}",
        )
    return missing


def _events(events: DataFrame, relation: EventRelation) -> DataFrame:
    """Rows that name both nodes: ``source``, ``target``, ``time``, and ``weight`` and ``type`` where they are asked."""
    columns = [
        F.col(f"fk_{relation.source}").alias("source"),
        F.col(f"fk_{relation.target}").alias("target"),
        F.col("time"),
    ]
    if relation.weight:
        weight = F.col(f"{RAW}{relation.weight}").cast("double").cast("float")
        columns += [weight.alias("weight"), F.lit(None).cast("string").alias("type")]
    elif relation.weight_by:
        kind = F.col(f"{RAW}{relation.weight_by}").cast("string")
        columns += [_declared_weight(kind, relation).cast("float").alias("weight"), kind.alias("type")]
    rows = events.select(*columns)
    return rows.where(F.col("source").isNotNull() & F.col("target").isNotNull())


def _declared_weight(kind: Column, relation: EventRelation) -> Column:
    (first, value), *others = relation.weights.items()
    cases = F.when(kind == first, F.lit(value))
    cases = reduce(lambda found, pair: found.when(kind == pair[0], F.lit(pair[1])), others, cases)
    return cases.otherwise(F.lit(relation.default_weight))


def _weighs() -> Column:
    return (F.col("weight") > 0) & (F.col("weight") < float("inf"))


def _total(relation: EventRelation) -> Column:
    """The sum over a pair's events, the same to the last bit whichever order Spark meets them in."""
    if relation.weight:
        ordered = F.sort_array(F.collect_list(F.col("weight").cast("double")))
        return F.aggregate(ordered, F.lit(0.0), lambda total, weight: total + weight)
    if not relation.weight_by:
        return F.count(F.lit(1))
    # Whole numbers add up exactly in any order: events are counted for each weight.
    weights = sorted({*relation.weights.values(), relation.default_weight} - {0.0})
    parts = [F.count(F.when(F.col("weight") == F.lit(w).cast("float"), True)) * F.lit(w) for w in weights]
    return reduce(lambda total, part: total + part, parts)
