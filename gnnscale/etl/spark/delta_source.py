"""``format("delta")`` for a Spark whose JVM has no Delta: Arrow tasks write Parquet, delta-rs commits once."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.fs
from deltalake import DeltaTable
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceReader,
    InputPartition,
    WriterCommitMessage,
)
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import StructType

from gnnscale.etl.spark.connect import is_connect, server_has_delta
from gnnscale.etl.spark.source_scan import reaches, read_files, scan_source
from gnnscale.lake import (
    Source,
    SourceFormat,
    WrittenFile,
    check_readable,
    commit_files,
    is_told,
    log_files,
    open_delta,
    open_folder,
    open_parquet,
    open_rows,
    parquet_writer,
    table_files,
)
from gnnscale.schema import LakeError

METADATA_PREFIX = "usermetadata."


def read_delta(
    session: SparkSession, uri: str, storage_options: dict[str, str] | None = None, version: int | None = None
) -> DataFrame:
    """A Delta table through Spark's own Parquet reader, which is several times faster than through Python.

    Where the JVM has Delta, Spark reads it itself. Where paths of files don't tell their partitions as the log does, or
    the JVM can't reach the files as delta-rs can, tasks read them. Without a version, the latest is read.

    Raises:
        LakeError: the table needs a reader feature that plain Parquet files don't carry.
    """
    if has_jvm_delta(session):
        reader = session.read.format("delta")
        return (reader if version is None else reader.option("versionAsOf", version)).load(uri)
    uri = uri.rstrip("/")
    table = open_delta(uri, storage_options, version)
    files = log_files(table, uri)
    told = all(file.path.startswith(f"{uri}/") and is_told(file.path[len(uri) :], file.partition) for file in files)
    if told and reaches(session, uri, storage_options):
        schema = from_arrow_schema(pa.schema(table.schema().to_arrow()))
        paths = [file.path for file in files]
        return read_files(session, uri, paths, schema) if files else session.createDataFrame([], schema)
    return scan_source(session, open_rows(Source(uri, SourceFormat.DELTA), storage_options, version))


def has_jvm_delta(session: SparkSession) -> bool:
    """Whether the JVM itself reads and writes Delta (Databricks, EMR, delta-spark)."""
    if is_connect(session):
        return server_has_delta(session)
    # py4j gives a JavaClass for a class that is there and a JavaPackage for one that is not.
    found = type(session._jvm.io.delta.tables.DeltaTable).__name__  # type: ignore[union-attr]
    return found == "JavaClass"


class DeltaDataSource(DataSource):
    """Delta tables for ``spark.read`` and ``df.write``; modes ``append`` and ``overwrite``.

    Options: ``path``; ``storage.<name>`` go to delta-rs as storage options; ``userMetadata.<name>`` are kept
    with the commit, names in lower case as Spark hands them on.
    """

    @classmethod
    def name(cls) -> str:
        """The name that ``format`` takes."""
        return "delta"

    def _table(self) -> DeltaTable:
        table = DeltaTable(self.options["path"], storage_options=_storage_options(self.options) or None)
        check_readable(table, self.options["path"])
        return table

    def schema(self) -> StructType:
        """Schema of the table's latest version."""
        return from_arrow_schema(pa.schema(self._table().schema().to_arrow()))

    def reader(self, schema: StructType) -> DataSourceReader:
        """A reader with one partition for each file."""
        table = self._table()
        return _DeltaReader(dict(self.options), table.version(), to_arrow_schema(schema, timezone="UTC"))

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceArrowWriter:
        """A writer that commits all tasks' files in one transaction."""
        return _DeltaWriter(dict(self.options), to_arrow_schema(schema, timezone="UTC"), overwrite)


@dataclass
class _FilePartition(InputPartition):
    path: str


class _DeltaReader(DataSourceReader):
    def __init__(self, options: dict[str, str], version: int, schema: pa.Schema) -> None:
        self.options, self.version, self.arrow_schema = options, version, schema

    def partitions(self) -> Sequence[InputPartition]:
        table = DeltaTable(self.options["path"], self.version, _storage_options(self.options) or None)
        if table.metadata().partition_columns:
            raise LakeError(
                f"{self.options['path']} is partitioned: read it with gnnscale.etl.read_delta, not format('delta')"
            )
        return [_FilePartition(path) for path in table_files(table)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        if not isinstance(partition, _FilePartition):  # an empty table: Spark asks for one empty partition
            return
        for batch in self._batches(partition.path):
            yield pa.Table.from_batches([batch]).cast(self.arrow_schema).combine_chunks().to_batches()[0]

    def _batches(self, path: str) -> Iterator[pa.RecordBatch]:
        filesystem, root = _filesystem(self.options)
        with open_parquet(filesystem, f"{root}{path}") as file:
            yield from file.iter_batches(columns=self.arrow_schema.names)


@dataclass
class _WrittenFiles(WriterCommitMessage):
    files: list[WrittenFile] = field(default_factory=list)


class _DeltaWriter(DataSourceArrowWriter):
    def __init__(self, options: dict[str, str], schema: pa.Schema, overwrite: bool) -> None:
        self.options, self.arrow_schema, self.overwrite = options, schema, overwrite

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        file = write_part(self.options["path"], _storage_options(self.options), self.arrow_schema, iterator)
        return _WrittenFiles([] if file is None else [file])

    def commit(self, messages: list[Any]) -> None:
        files = [file for message in messages if message is not None for file in message.files]
        metadata = {k[len(METADATA_PREFIX) :]: v for k, v in self.options.items() if k.startswith(METADATA_PREFIX)}
        mode: Literal["overwrite", "append"] = "overwrite" if self.overwrite else "append"
        commit_files(self.options["path"], self.arrow_schema, files, mode, _storage_options(self.options), metadata)

    def abort(self, messages: list[Any]) -> None:
        filesystem, root = _filesystem(self.options)
        for message in messages:
            for file in message.files if message is not None else []:
                filesystem.delete_file(root + file.path)


def write_part(
    uri: str, storage_options: Mapping[str, str], schema: pa.Schema, batches: Iterator[pa.RecordBatch], job: str = ""
) -> WrittenFile | None:
    """Write the rows of one task as a file of a table; its name begins with the partition.

    Sorted by name, the files of a range-sorted frame are in order.

    Args:
        uri: root of the table.
        storage_options: as delta-rs names them.
        schema: that the rows are cast to.
        batches: rows of the task.
        job: that stands in the file's name between dashes, where there is one.

    Returns:
        The file; None where there are no rows.
    """
    filled = (batch for batch in batches if batch.num_rows)
    first = next(filled, None)
    if first is None:
        return None
    filesystem, root = open_folder(uri, dict(storage_options), make=True)
    context = TaskContext.get()
    part = context.partitionId() if context else 0
    name = f"part-{part:06d}-{f'{job}-' if job else ''}{uuid.uuid4()}.parquet"
    rows = 0
    with filesystem.open_output_stream(root + name) as sink, parquet_writer(sink, schema) as writer:
        for batch in itertools.chain([first], filled):
            writer.write_table(pa.Table.from_batches([batch]).cast(schema))
            rows += batch.num_rows
    return WrittenFile(name, filesystem.get_file_info(root + name).size, rows)


def _storage_options(options: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix("storage."): value for key, value in options.items() if key.startswith("storage.")}


def _filesystem(options: dict[str, str]) -> tuple[pyarrow.fs.FileSystem, str]:
    return open_folder(options["path"], _storage_options(options))
