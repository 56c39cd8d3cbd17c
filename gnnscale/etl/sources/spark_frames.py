"""Spark frames as sources of a graph: their columns, a digest of their rows, and their files; no row is collected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema

from gnnscale.etl.spark.connect import SPARK_FAULTS
from gnnscale.schema import LakeError


def frame_schema(frame: DataFrame) -> pa.Schema:
    """Columns of a frame and their types."""
    return to_arrow_schema(frame.schema, timezone="UTC")


def catalog_frame(session: SparkSession, name: str) -> DataFrame | None:
    """A table or view of the session's catalog; None where there is none, nor could be, of that name."""
    try:
        return session.table(name) if session.catalog.tableExists(name) else None
    except AnalysisException:
        return None


def frame_digest(frame: DataFrame) -> str:
    """A digest of the columns and rows of a frame, whatever order these come in; one pass over them.

    Raises:
        LakeError: the rows can't be read.
    """
    hashed = frame.select(F.xxhash64(*map(_hashable, frame.schema)).alias("hash"))
    # No sum of 31 bits overflows below some billions of rows.
    parts = [F.count("hash"), F.bit_xor("hash"), F.sum(F.shiftrightunsigned("hash", 33))]
    with _readable():
        row = hashed.agg(*parts).first()
    assert row is not None
    return hashlib.sha256(f"{frame.schema.json()} {tuple(row)}".encode()).hexdigest()[:24]


def write_frame(frame: DataFrame, uri: str) -> None:
    """Write a frame as Parquet files by its own session.

    Args:
        frame: the rows.
        uri: folder that gets the files; what is in it is replaced.

    Raises:
        LakeError: the rows can't be read or written.
    """
    with _readable():
        frame.write.mode("overwrite").parquet(uri)


def _hashable(field: T.StructField) -> Column:
    column = F.col(f"`{field.name.replace('`', '``')}`")
    # Maps have no hash.
    return F.to_json(F.struct(column)) if "map<" in field.dataType.simpleString() else column


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except SPARK_FAULTS as error:
        raise LakeError(f"a Spark frame can't be read: {str(error).splitlines()[0]}") from None
