"""Further sorted runs of edge tables: appended build by build, and made one again before they are many."""

from __future__ import annotations

from pyspark.sql import SparkSession

from gnnscale.etl.edges.edge_readers import NumberedEdges, scan_files
from gnnscale.etl.edges.edge_sort import EdgeScan, write_sorted_edges
from gnnscale.etl.spark.connect import task_slots
from gnnscale.etl.spark.parquet_scan import ParquetScan
from gnnscale.lake import Lake, table_files

MAX_RUNS = 8
"""Runs of an edge table that readers merge; with one more, it is written again as one."""


def append_run(
    session: SparkSession, lake: Lake, table: str, scan: EdgeScan, origin: int, reverse: bool, max_runs: int
) -> int:
    """Add edges to a table as one more sorted run; beyond ``max_runs`` all of it becomes one run.

    Args:
        session: Spark.
        lake: holds the table.
        table: of edges without weights.
        scan: the new edges.
        origin: epoch seconds that the reader's stamps count from.
        reverse: whether to turn the new edges around first.
        max_runs: most runs that the table is left with.

    Returns:
        The version committed.
    """
    runs = read_runs(lake, table)
    version = write_sorted_edges(lake, table, scan, origin, reverse, run=max(runs) + 1 if runs else 1).version
    if len(runs) + 1 <= max_runs:
        return version
    files = ParquetScan.of_table(lake, table, task_slots(session))
    return write_sorted_edges(lake, table, scan_files(session, files, NumberedEdges(origin, files)), origin).version


def read_runs(lake: Lake, table: str) -> set[int]:
    """Numbers of an edge table's runs, 0 for that of a full build; its files are named for them."""
    prefixes = {path.rpartition("part-")[0] for path in table_files(lake.open(table))}
    return {int(prefix.split("-")[1]) if prefix else 0 for prefix in prefixes}
