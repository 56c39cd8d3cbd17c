"""Rows of a source as a Spark frame: by Spark's own reader where it reads the same, else by tasks that read files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from gnnscale.etl.spark.connect import is_connect
from gnnscale.lake import SourceRows


def scan_source(session: SparkSession, rows: SourceRows) -> DataFrame:
    """The rows, in the types that :attr:`SourceRows.schema` has.

    Args:
        session: Spark.
        rows: a source whose files are known.
    """
    schema = from_arrow_schema(rows.schema, prefer_timestamp_ntz=True)
    if not rows.files:
        return session.createDataFrame([], schema)
    if rows.plain and reaches(session, rows.root, rows.storage_options):
        # Files that have changed under the same path must not come from what Spark remembers of them.
        session.catalog.refreshByPath(rows.source.uri)
        return read_files(session, rows.root, [file.path for file in rows.files], schema)
    parts = rows.parts

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from rows.batches([parts[place] for place in batch.column("part").to_pylist()])

    # A frame made from rows may have several of them in a partition.
    places = session.createDataFrame([(place,) for place in range(len(parts))], "part int")
    return places.repartitionById(max(1, len(parts)), "part").mapInArrow(read, schema)


def reaches(session: SparkSession, uri: str, storage_options: Mapping[str, str] | None) -> bool:
    """Whether the JVM itself can read files that delta-rs can: it is told no options, and knows not all stores."""
    scheme = urlsplit(uri).scheme
    if scheme in ("", "file"):
        return True
    if storage_options:
        return False
    if is_connect(session):
        return True
    assert session._jvm is not None
    try:
        # ``s3``, for one, is known to platforms and not to Spark as it comes.
        session._jvm.org.apache.hadoop.fs.FileSystem.getFileSystemClass(scheme, session._jsc.hadoopConfiguration())
    except Py4JJavaError:
        return False
    return True


def read_files(session: SparkSession, uri: str, paths: Sequence[str], schema: StructType | None = None) -> DataFrame:
    """Some Parquet files of a table or folder.

    Args:
        uri: of the table or folder, from which on paths tell partitions.
        paths: of the files, in full.
        schema: of the rows; default: that of the files.
    """
    reader = session.read if schema is None else session.read.schema(schema)
    # What our files and Spark's have a checksum of, and Spark does not look at by itself.
    reader = reader.option("parquet.page.verify-checksum.enabled", "true")
    return reader.option("basePath", uri).parquet(*(_no_pattern(path) for path in paths))


def _no_pattern(path: str) -> str:
    """A path for Spark, which takes paths for patterns."""
    return re.sub(r"([\\\[\]{}*?])", r"\\\1", path)
