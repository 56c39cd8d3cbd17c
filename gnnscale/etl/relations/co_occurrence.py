"""Edges between items that occur together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from gnnscale.etl.derived.groups import count_large, group_codes
from gnnscale.etl.ids.assign_ids import NODE_ID
from gnnscale.etl.relations.pairs import GroupRows, count_pairs
from gnnscale.etl.relations.periods import DAY, period_of
from gnnscale.schema import TogetherRelation

PAIRS = "first long, second long, period long, count long, latest long"


def together_edges(events: DataFrame, group: str, relation: TogetherRelation, origin: int) -> DataFrame:
    """One edge for each order of two items (and period) that occur together often enough.

    Args:
        events: ``nodes_<event table>``.
        group: its column that says which rows belong together.
        relation: how edges are made.
        origin: of the graph, in epoch seconds.

    Returns:
        Columns ``source``, ``target`` (node ids, int64), ``time`` (epoch seconds of the last co-occurrence that the
        edge counts; null where rows have none) and ``weight`` (co-occurrences, float32).
    """
    rows = _rows(events, group, relation).withColumn("period", period_of(F.col("time"), relation.period_days, origin))
    within = None if relation.within_days is None else int(relation.within_days * DAY)
    # Whole groups go to one task each, so that what is counted does not depend on how the rows were cut before.
    pairs = rows.repartition("group").mapInArrow(_counter(within, relation.max_group), PAIRS)
    sums = pairs.groupBy("first", "second", "period").agg(F.sum("count").alias("count"), F.max("latest").alias("time"))
    ends = F.explode(F.array(*(F.struct(F.col(a).alias("source"), F.col(b).alias("target")) for a, b in ORDERS)))
    edges = sums.where(F.col("count") >= relation.min_count).select(ends.alias("ends"), "period", "time", "count")
    edges = edges.select("ends.source", "ends.target", "period", "time", "count")
    if relation.max_neighbors is not None:
        order = Window.partitionBy("source", "period").orderBy(
            F.desc("count"), F.desc_nulls_last("time"), F.asc("target")
        )
        edges = edges.withColumn("place", F.row_number().over(order)).where(F.col("place") <= relation.max_neighbors)
    return edges.select("source", "target", "time", F.col("count").cast("float").alias("weight"))


ORDERS = (("first", "second"), ("second", "first"))


def count_cut_groups(events: DataFrame, group: str, relation: TogetherRelation) -> int:
    """Groups of which not all rows count; logged."""
    rows = _rows(events, group, relation).select("group")
    prefix = f"relation {relation.name}: only the latest rows count of groups"
    return count_large(rows, "group", relation.max_group, prefix)


def _rows(events: DataFrame, group: str, relation: TogetherRelation) -> DataFrame:
    rows = events.select(
        F.col(group).alias("group"), F.col(f"fk_{relation.item}").alias("item"), "time", F.col(NODE_ID).alias("row")
    )
    return rows.where(F.col("group").isNotNull() & F.col("item").isNotNull())


def _counter(within: int | None, max_group: int) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        whole = [batch for batch in batches if batch.num_rows]
        if not whole:
            return
        table = pa.Table.from_batches(whole)
        codes = group_codes(table["group"])
        times, timed = table["time"].fill_null(0).to_numpy(), table["time"].null_count == 0
        order = np.lexsort((table["row"].to_numpy(), times, codes))
        columns = (table["item"].to_numpy(), times, table["period"].fill_null(0).to_numpy())
        rows = GroupRows(codes[order], *(column[order] for column in columns))
        for found in count_pairs(rows, within, max_group):
            latest = pa.array(found.latest) if timed else pa.nulls(len(found.latest), pa.int64())
            yield pa.RecordBatch.from_arrays(
                [*map(pa.array, (found.first, found.second, found.periods, found.counts)), latest],
                ["first", "second", "period", "count", "latest"],
            )

    return count
