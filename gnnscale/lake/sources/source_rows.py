"""The rows of a source: one reading for what its columns are, for rows in memory and for tasks of Spark."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

import pyarrow as pa
import pyarrow.fs

from gnnscale.lake.delta_log import log_files, open_delta
from gnnscale.lake.places import open_place
from gnnscale.lake.sources.parquet_files import (
    DataFile,
    Footer,
    is_plain,
    merge_columns,
    open_source_file,
    read_footers,
    unreadable,
)
from gnnscale.lake.sources.partitions import is_told, path_partition, read_partitions
from gnnscale.lake.sources.plain_types import stored_array, stored_type
from gnnscale.lake.sources.source import (
    NO_SOURCE,
    Source,
    SourceFormat,
    files_under,
    is_hidden,
    is_parquet,
    is_read,
    name_format,
)
from gnnscale.lake.sources.text_files import TextColumns, TextFile, find_columns, read_text
from gnnscale.schema import LakeError, twin_names

log = logging.getLogger(__name__)

PART_ROWS: Final = 1 << 20
"""Rows that a task reads, where row groups are no larger."""


@dataclass(frozen=True)
class RowPart:
    """A file, or row groups ``first`` to ``last - 1`` of it; ``last`` 0 stands for the whole file."""

    file: int
    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class SourceRows:
    """The files of a source and how they are read.

    Args:
        source: where the rows are.
        storage_options: as delta-rs names them.
        files: in order of their paths.
        schema: columns and their types, those in which Spark has them.
        categories: columns whose type in the files says that they hold categories.
        parts: that tasks may read apart.
        plain: whether Spark's own reader gives the same from these files.
        rows: of all files, where it is known.
        text: columns of files of text.
    """

    source: Source
    storage_options: Mapping[str, str]
    files: tuple[DataFile, ...]
    schema: pa.Schema
    categories: frozenset[str] = frozenset()
    parts: tuple[RowPart, ...] = ()
    plain: bool = False
    rows: int | None = None
    text: TextColumns | None = field(default=None, repr=False)

    @property
    def root(self) -> str:
        """The folder that paths tell partitions under: the source, or that of its only file."""
        uri = self.source.uri.rstrip("/")
        return uri.rpartition("/")[0] if self.files and self.files[0].path == self.source.uri else uri

    def batches(self, parts: Sequence[RowPart]) -> Iterator[pa.RecordBatch]:
        """Rows of some parts, with all columns.

        Raises:
            LakeError: a file is gone, or is not as it was.
        """
        for part in parts:
            file = self.files[part.file]
            filesystem, path = open_place(file.path, self.storage_options)
            read = self._text_tables if self.text else self._parquet_tables
            try:
                for table in read(filesystem, path, part):
                    yield from self._whole(table, file).combine_chunks().to_batches()
            except (OSError, pa.ArrowException) as error:
                raise unreadable(file.path, self.source.format, error) from None

    def table(self) -> pa.Table:
        """All rows, in memory."""
        return pa.Table.from_batches(self.batches(self.parts), self.schema)

    def _text_tables(self, filesystem: pyarrow.fs.FileSystem, path: str, part: RowPart) -> Iterator[pa.Table]:
        assert self.text is not None
        return read_text(filesystem, _text_file(path, self.source.format), self.text)

    def _parquet_tables(self, filesystem: pyarrow.fs.FileSystem, path: str, part: RowPart) -> Iterator[pa.Table]:
        with open_source_file(filesystem, path) as file:
            wanted = [name for name in file.schema_arrow.names if name in set(self.schema.names)]
            groups = range(part.first, part.last or file.num_row_groups)
            for batch in file.iter_batches(1 << 17, list(groups), wanted, use_threads=False):
                yield pa.Table.from_batches([batch])

    def _whole(self, table: pa.Table, file: DataFile) -> pa.Table:
        """The rows of a file with the columns of the source: in their types, null where the file lacks them."""
        told = dict(file.partition)
        columns = []
        for wanted in self.schema:
            if wanted.name in told:
                column = pa.repeat(pa.scalar(told[wanted.name], wanted.type), table.num_rows)
            elif wanted.name in table.column_names:
                column = _stored(table[wanted.name], wanted, file.path)
            else:
                column = pa.nulls(table.num_rows, wanted.type)
            columns.append(column)
        return pa.table(columns, self.schema)


def open_rows(
    source: Source,
    storage_options: Mapping[str, str] | None = None,
    version: int | None = None,
    only: Collection[str] | None = None,
) -> SourceRows:
    """Find the files of a source, and what their columns are. Of Parquet, footers are read; of text, everything.

    Args:
        source: where the rows are.
        storage_options: as delta-rs names them.
        version: of a Delta table; default: the latest.
        only: full paths of the files that count; default: all.

    Raises:
        LakeError: there are no files, one is not what it seems, or the types of a column don't go together.
    """
    options = dict(storage_options or {})
    if source.format is SourceFormat.DELTA:
        return _delta_rows(source, options, version, only)
    filesystem, inside = open_place(source.uri, options)
    listed = _listed(source, filesystem, inside)
    if only is not None:
        listed = [(file, info) for file, info in listed if file.path in only]
    if not listed:
        raise LakeError(f"{source.uri} can't be read: it holds no files of rows")
    told = [path_partition(file.path[len(source.uri) :]) for file, _ in listed]
    values, types = read_partitions(told)
    files = [replace(file, partition=value) for (file, _), value in zip(listed, values, strict=True)]
    states = tuple((info.path, info.size, info.mtime_ns) for _, info in listed)
    known = (source, tuple(sorted(options.items())), states)
    if known not in _KNOWN:
        while len(_KNOWN) >= _MOST_KNOWN:
            del _KNOWN[next(iter(_KNOWN))]
        is_text = source.format is not SourceFormat.PARQUET
        read = _text_rows if is_text else _parquet_rows
        _KNOWN[known] = read(source, options, files, types)
    return _KNOWN[known]


_KNOWN: dict[Any, SourceRows] = {}
"""What this process has found of sources whose files are as they were."""

_MOST_KNOWN: Final = 256


def list_files(
    source: Source, storage_options: Mapping[str, str] | None = None
) -> list[tuple[str, pyarrow.fs.FileInfo]]:
    """The files of a source that hold rows, by their paths under it (empty for a single file); not of Delta tables."""
    if source == NO_SOURCE:
        return []
    filesystem, inside = open_place(source.uri, storage_options or {})
    start = len(source.uri.rstrip("/")) + 1
    return [(file.path[start:], info) for file, info in _listed(source, filesystem, inside)]


def _listed(
    source: Source, filesystem: pyarrow.fs.FileSystem, inside: str
) -> list[tuple[DataFile, pyarrow.fs.FileInfo]]:
    info = filesystem.get_file_info(inside)
    if info.type == pyarrow.fs.FileType.NotFound:
        raise LakeError(f"{source.uri} can't be read: it is gone")
    if info.type != pyarrow.fs.FileType.Directory:
        return [(DataFile(source.uri), info)]
    found, elsewhere, others = [], [], []
    for path, entry in files_under(filesystem, inside):
        if is_hidden(path):
            continue
        if not is_read(path):
            elsewhere.append(path)
        elif name_format(path) is source.format or _is_unnamed_parquet(source, filesystem, entry, path):
            found.append((DataFile(f"{source.uri.rstrip('/')}/{path}"), entry))
        else:
            others.append(path)
    for left_out, why in ((elsewhere, "in folders that name no partition"), (others, f"that are not {source.format}")):
        if left_out:
            tell_once(f"{source.uri}: {len(left_out):,} files {why} are left out, such as {left_out[0]}")
    return found


def _is_unnamed_parquet(
    source: Source, filesystem: pyarrow.fs.FileSystem, entry: pyarrow.fs.FileInfo, path: str
) -> bool:
    if source.format is not SourceFormat.PARQUET or name_format(path) is not None:
        return False
    return is_parquet(filesystem, entry.path)


@cache
def tell_once(message: str) -> None:
    """Log a warning, once in this process."""
    log.warning("%s", message)


def _text_file(path: str, form: SourceFormat) -> TextFile:
    parts = path.lower().split(".")
    return TextFile(path, form is SourceFormat.JSON, bool({"tsv", "tab"} & set(parts[-2:])))


def _text_rows(
    source: Source, options: dict[str, str], files: Sequence[DataFile], told: Mapping[str, pa.DataType]
) -> SourceRows:
    inside = []
    for file in files:
        filesystem, path = open_place(file.path, options)
        inside.append(_text_file(path, source.format))
    columns = find_columns(filesystem, inside)
    schema = _with_told(_kept(source.uri, columns.schema), told)
    _refuse_twins(source.uri, schema.names)
    parts = tuple(RowPart(place) for place in range(len(files)))
    return SourceRows(source, options, tuple(files), schema, frozenset(), parts, False, columns.rows, columns)


def _parquet_rows(
    source: Source, options: dict[str, str], files: Sequence[DataFile], told: Mapping[str, pa.DataType]
) -> SourceRows:
    footers = read_footers(files, options)
    merged = footers[0].schema
    for file, footer in zip(files, footers, strict=True):
        merged = merge_columns(merged, footer.schema, file.path)
    merged = pa.schema([merged.field(place).remove_metadata() for place in range(len(merged.names))])
    schema = _with_told(_kept(source.uri, merged), told)
    _refuse_twins(source.uri, schema.names)
    return _rows_of_parquet(source, options, files, footers, schema)


def _delta_rows(
    source: Source, options: dict[str, str], version: int | None, only: Collection[str] | None
) -> SourceRows:
    opened = open_delta(source.uri, options, version)
    merged = pa.schema(opened.schema().to_arrow())
    _refuse_twins(source.uri, merged.names)
    files = [DataFile(file.path, file.partition) for file in log_files(opened, source.uri)]
    if only is not None:
        files = [file for file in files if file.path in only]
    known = (source, tuple(sorted(options.items())), tuple(files))
    if known not in _KNOWN:
        footers = read_footers(files, options)
        _KNOWN[known] = _rows_of_parquet(source, options, files, footers, _kept(source.uri, merged))
    return _KNOWN[known]


def _rows_of_parquet(
    source: Source,
    options: dict[str, str],
    files: Sequence[DataFile],
    footers: Sequence[Footer],
    schema: pa.Schema,
) -> SourceRows:
    plain = all(is_plain(footer.schema, schema) for footer in footers)
    plain = plain and all(
        file.path.startswith(source.uri) and is_told(file.path[len(source.uri) :], file.partition) for file in files
    )
    categories = frozenset(f.name for footer in footers for f in footer.schema if pa.types.is_dictionary(f.type))
    parts = []
    for place, footer in enumerate(footers):
        first = held = 0
        for group, rows in enumerate(footer.groups):
            if held and held + rows > PART_ROWS:
                parts.append(RowPart(place, first, group))
                first, held = group, 0
            held += rows
        if held:
            parts.append(RowPart(place, first, len(footer.groups)))
    rows = sum(sum(footer.groups) for footer in footers)
    return SourceRows(source, options, tuple(files), schema, categories, tuple(parts), plain, rows)


def _kept(place: str, schema: pa.Schema) -> pa.Schema:
    """Columns in the types that the graph takes; those that have none are left out, and told."""
    kinds = {column.name: stored_type(column.type) for column in schema}
    left_out = [f"{column.name} ({column.type})" for column in schema if kinds[column.name] is None]
    if left_out:
        tell_once(f"{place}: columns of types that the graph does not take are left out: {', '.join(left_out)}")
    return pa.schema([(name, kind) for name, kind in kinds.items() if kind is not None])


def _with_told(schema: pa.Schema, told: Mapping[str, pa.DataType]) -> pa.Schema:
    """The schema with the columns that folders tell, which count where files have them too."""
    return pa.schema([*(column for column in schema if column.name not in told), *told.items()])


def _stored(column: pa.ChunkedArray, wanted: pa.Field, path: str) -> pa.ChunkedArray:
    try:
        return pa.chunked_array([stored_array(chunk, wanted.type) for chunk in column.chunks], wanted.type)
    except pa.ArrowException as error:
        raise LakeError(f"{path}: column '{wanted.name}' is not {wanted.type}: {str(error).splitlines()[0]}") from None


def _refuse_twins(place: str, names: Sequence[str]) -> None:
    if both := twin_names(names):
        raise LakeError(f"{place}: two columns are called {both}; rename one, or leave it out")
