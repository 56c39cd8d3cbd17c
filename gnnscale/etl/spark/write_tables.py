"""Spark frames to and from the lake's Delta tables."""

from __future__ import annotations

from typing import Literal

from pyspark.sql import DataFrame, SparkSession

from gnnscale.etl.spark.delta_source import METADATA_PREFIX, read_delta
from gnnscale.lake import Lake


def write_table(
    lake: Lake,
    table: str,
    frame: DataFrame,
    metadata: dict[str, str] | None = None,
    mode: Literal["overwrite", "append"] = "overwrite",
) -> int:
    """Replace a table, or append to it, in one commit.

    Returns:
        The version committed.
    """
    writer = frame.write.format("delta").mode(mode)
    if mode == "overwrite":
        writer = writer.option("overwriteSchema", "true")
    options = {f"storage.{key}": value for key, value in lake.storage_options.items()}
    options |= {f"{METADATA_PREFIX}{key}": value for key, value in (metadata or {}).items()}
    writer.options(**options).save(lake.table_uri(table))
    return lake.version(table)


def read_table(session: SparkSession, lake: Lake, table: str, version: int | None = None) -> DataFrame:
    """A table of the lake at its latest, or the given, version."""
    lake.open(table, version)
    return read_delta(session, lake.table_uri(table), lake.storage_options, version)
