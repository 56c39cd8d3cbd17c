"""Parquet files of a source: what their footers say of columns and row groups."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from gnnscale.lake.places import open_place
from gnnscale.lake.sources.partitions import Partition
from gnnscale.lake.sources.plain_types import is_read_by_spark, stored_type
from gnnscale.lake.sources.source import SourceFormat
from gnnscale.schema import LakeError

UNNAMED_INDEX: Final = re.compile(r"__index_level_\d+__")
"""What pandas calls the levels of an index that has no names."""


@dataclass(frozen=True)
class DataFile:
    """A file of a source.

    Args:
        path: in full: a path or an object-store URI.
        partition: column -> value, of columns whose values its folder, or a log, tells.
    """

    path: str
    partition: Partition = ()


@dataclass(frozen=True)
class Footer:
    """Columns and rows of each row group."""

    schema: pa.Schema
    groups: tuple[int, ...]


def read_footers(files: Sequence[DataFile], options: dict[str, str]) -> list[Footer]:
    """The footers of files, read several at a time.

    Raises:
        LakeError: a file is gone, or is no Parquet file.
    """

    def footer(data: DataFile) -> Footer:
        filesystem, path = open_place(data.path, options)
        try:
            with open_source_file(filesystem, path) as file:
                groups = tuple(file.metadata.row_group(i).num_rows for i in range(file.num_row_groups))
                return Footer(_columns(file), groups)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(data.path, SourceFormat.PARQUET, error) from None

    with ThreadPoolExecutor(16) as threads:
        return list(threads.map(footer, files))


def open_source_file(filesystem: pyarrow.fs.FileSystem, path: str) -> pq.ParquetFile:
    """A Parquet file to read row groups of, whose pages are held against their checksums where it has any."""
    # The times of old writers, of 96 bits, reach further than 64 bits of nanoseconds.
    return pq.ParquetFile(
        filesystem.open_input_file(path),
        coerce_int96_timestamp_unit="us",
        pre_buffer=False,
        page_checksum_verification=True,
    )


def _columns(file: pq.ParquetFile) -> pa.Schema:
    """Columns of a file, as :func:`_with_instants`, without the index that pandas keeps of a frame that has no names
    for it: where a row stood before a sort may tell what came after it."""
    schema = _with_instants(file)
    try:
        index = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    except (ValueError, AttributeError):
        return schema
    for name in index if isinstance(index, list) else ():
        if isinstance(name, str) and UNNAMED_INDEX.fullmatch(name) and len(schema.get_all_field_indices(name)) == 1:
            schema = schema.remove(schema.get_field_index(name))
    return schema


def _with_instants(file: pq.ParquetFile) -> pa.Schema:
    """Columns of a file; times of 96 bits, which old writers and Spark write, are of UTC."""
    schema, leaves = file.schema_arrow, [file.schema.column(place) for place in range(len(file.schema))]
    for name in [leaf.path for leaf in leaves if leaf.physical_type == "INT96" and leaf.path in schema.names]:
        schema = schema.set(schema.get_field_index(name), pa.field(name, pa.timestamp("us", "UTC")))
    return schema


def merge_columns(known: pa.Schema, found: pa.Schema, path: str) -> pa.Schema:
    """The columns of earlier files and of one more, in types that hold the values of all.

    Raises:
        LakeError: the types of a column don't go together.
    """
    if known.equals(found):
        return known
    for wanted in found:
        places = known.get_all_field_indices(wanted.name)
        if len(places) == 1:
            before = known.field(places[0])
            try:
                both = [pa.schema([(f.name, _value_type(f.type))]) for f in (before, wanted)]
                kind = pa.unify_schemas(both, promote_options="permissive").field(0).type
            except (pa.ArrowTypeError, pa.ArrowInvalid):
                raise LakeError(
                    f"{path}: column '{wanted.name}' holds {wanted.type}, and {before.type} in files before it; "
                    "make it one type"
                ) from None
            known = known.set(places[0], before if kind == before.type else pa.field(wanted.name, kind))
        elif not places:
            known = known.append(wanted)
    return known


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def is_plain(found: pa.Schema, schema: pa.Schema) -> bool:
    """Whether Spark reads a file's columns as they are in the source."""
    types = dict(zip(schema.names, schema.types, strict=True))
    return all(
        is_read_by_spark(column.type) and stored_type(column.type) == types[column.name]
        for column in found
        if column.name in types
    )


def unreadable(path: str, form: SourceFormat, error: Exception) -> LakeError:
    """What is said of a file that can't be read."""
    if isinstance(error, FileNotFoundError):
        return LakeError(f"{path} can't be read: there is no such file")
    return LakeError(f"{path} can't be read as {form}: {str(error).splitlines()[0]}")
