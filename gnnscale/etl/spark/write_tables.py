"""Spark frames to and from the lake's Delta tables."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from gnnscale.etl.spark.delta_source import METADATA_PREFIX, has_jvm_delta, read_delta, write_part
from gnnscale.lake import Lake, WrittenFile, commit_files, remove_strays

_FILES = "path string, size long, rows long"


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
    if not has_jvm_delta(frame.sparkSession):
        return _write_files(lake, table, frame, metadata or {}, mode)
    writer = frame.write.format("delta").mode(mode)
    if mode == "overwrite":
        writer = writer.option("overwriteSchema", "true")
    options = {f"storage.{key}": value for key, value in lake.storage_options.items()}
    options |= {f"{METADATA_PREFIX}{key}": value for key, value in (metadata or {}).items()}
    writer.options(**options).save(lake.table_uri(table))
    return lake.version(table)


def _write_files(
    lake: Lake, table: str, frame: DataFrame, metadata: Mapping[str, str], mode: Literal["overwrite", "append"]
) -> int:
    """As the data source ``delta`` does, without the four processes that Spark starts to plan and commit one write."""
    uri, options = lake.table_uri(table), lake.storage_options
    schema, job = to_arrow_schema(frame.schema, timezone="UTC"), uuid.uuid4().hex[:8]
    try:
        rows = frame.mapInArrow(_PartWriter(uri, dict(options), schema, job), _FILES).toArrow().sort_by("path")
    except BaseException:
        remove_strays(uri, options, job, set())
        raise
    files = [WrittenFile(row["path"], row["size"], row["rows"]) for row in rows.to_pylist()]
    version = commit_files(uri, schema, files, mode, options, metadata)
    # Attempts that were repeated have files of their own.
    remove_strays(uri, options, job, {file.path for file in files})
    return version


@dataclass(frozen=True)
class _PartWriter:
    uri: str
    storage_options: Mapping[str, str]
    schema: pa.Schema
    job: str

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        file = write_part(self.uri, self.storage_options, self.schema, batches, self.job)
        if file is not None:
            yield pa.RecordBatch.from_pydict({"path": [file.path], "size": [file.size], "rows": [file.rows]})


def read_table(session: SparkSession, lake: Lake, table: str, version: int | None = None) -> DataFrame:
    """A table of the lake at its latest, or the given, version."""
    lake.open(table, version)
    return read_delta(session, lake.table_uri(table), lake.storage_options, version)
