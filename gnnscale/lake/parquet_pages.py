"""Parquet files of a lake: every page is written with a checksum, which is held against it when it is read."""

from __future__ import annotations

import errno
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq

from gnnscale.lake.delta_files import WrittenFile
from gnnscale.schema import LakeError

CHECKED: Final = ds.ParquetFragmentScanOptions(pre_buffer=True, page_checksum_verification=True)
"""How the files of a dataset are scanned, for ``fragment_scan_options``."""

_COLORS: Final = re.compile(r"\x1b\[[0-9;]*m")
"""Of errors that are meant for a terminal."""

_OF_THE_MACHINE: Final = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EINTR)
"""Numbers of errors that tell of memory, or of a disk that is written to, and not of the file that is read."""

ROW_GROUP: Final = 1 << 17
"""Rows that :func:`write_parts` puts together for a row group, which has twice as many at most."""

_FILE_BYTES: Final = 1 << 29
"""Size beyond which :func:`write_parts` begins another file."""


@contextmanager
def reading(table: str, file: str = "") -> Iterator[None]:
    """Turns the errors of reading a table's files into one that says which table it is, and what mends it.

    Args:
        table: its name.
        file: that is read, where it is known.

    Raises:
        LakeError: a file is gone or damaged.
    """
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        number = getattr(error, "errno", None)
        if isinstance(error, pa.ArrowMemoryError | MemoryError) or number in _OF_THE_MACHINE:
            raise
        said = _COLORS.sub("", str(error)).partition("\n")[0][:300] or type(error).__name__
        which = f"{f'file {file}' if file else 'a file'} of table '{table}' can't be read"
        if number not in (None, errno.ENOENT, errno.EIO):
            raise LakeError(f"{which}: {said}") from None
        raise LakeError(
            f"{which}, or is damaged: {said}; put it back, or run the stage that writes the table again with --force"
        ) from None


@contextmanager
def open_parquet(
    filesystem: pyarrow.fs.FileSystem, path: str, table: str = "", **options: Any
) -> Iterator[pq.ParquetFile]:
    """A file of a table, whose pages are held against their checksums.

    Args:
        filesystem: that has it.
        path: of the file.
        table: that it is of, for messages; default: its folder's name.
        options: as :class:`pyarrow.parquet.ParquetFile` takes them.

    Raises:
        LakeError: it is gone or damaged.
    """
    folder, _, name = path.rpartition("/")
    with (
        reading(table or folder.rpartition("/")[2], name),
        filesystem.open_input_file(path) as source,
        pq.ParquetFile(source, page_checksum_verification=True, **options) as file,
    ):
        # The footer has no checksum: a number of rows that is another one than it was would leave rows out.
        footer = file.metadata
        if footer.num_rows != sum(footer.row_group(i).num_rows for i in range(footer.num_row_groups)):
            raise pa.ArrowInvalid("its footer contradicts itself about the number of rows")
        yield file


def parquet_batches(
    filesystem: pyarrow.fs.FileSystem, path: str, columns: Sequence[str], table: str = "", use_threads: bool = True
) -> Iterator[pa.RecordBatch]:
    """Rows of a file, some million at a time.

    Args:
        filesystem: that has it.
        path: of the file.
        columns: that are wanted.
        table: that it is of, for messages; default: its folder's name.
        use_threads: whether columns are read beside each other.

    Raises:
        LakeError: it is gone or damaged, or lacks a column.
    """
    with open_parquet(filesystem, path, table) as file:
        lacking = [name for name in columns if name not in file.schema_arrow.names]
        if lacking:
            raise pa.ArrowKeyError(f"it has no column {', '.join(lacking)}")
        rows = 0
        for batch in file.iter_batches(1 << 20, columns=list(columns), use_threads=use_threads):
            rows += batch.num_rows
            yield batch
        check_rows(rows, file.metadata.num_rows)


def read_groups(
    file: pq.ParquetFile, columns: Sequence[str] | None = None, groups: Sequence[int] | None = None
) -> pa.Table:
    """Rows of some row groups of a file that :func:`open_parquet` has opened, on the caller's thread.

    Args:
        file: that is open.
        columns: that are wanted; default: all.
        groups: their numbers; default: all.

    Raises:
        pyarrow.ArrowInvalid: rows are missing; within :func:`open_parquet` that is a LakeError.
    """
    chosen = list(range(file.num_row_groups) if groups is None else groups)
    rows = file.read_row_groups(chosen, None if columns is None else list(columns), use_threads=False)
    check_rows(rows.num_rows, sum(file.metadata.row_group(number).num_rows for number in chosen))
    return rows


def check_rows(rows: int, known: int) -> None:
    """Whether as many rows were read as a footer tells of: a page of a kind that is not known is passed over.

    Raises:
        pyarrow.ArrowInvalid: it is another number.
    """
    if rows != known:
        raise pa.ArrowInvalid(f"{rows:,} of its {known:,} rows were found")


def check_names(file: ds.ParquetFileFragment, known: Sequence[str]) -> None:
    """Whether a file of a table has columns that the table has not, which would be read as though they were missing.

    Raises:
        pyarrow.ArrowInvalid: it has.
    """
    strange = [name for name in file.physical_schema.names if name not in known]
    if strange:
        raise pa.ArrowInvalid(f"it has a column {strange[0]!r}, which the table has not")


def parquet_writer(sink: Any, schema: pa.Schema, **options: Any) -> pq.ParquetWriter:
    """A writer whose pages have checksums.

    Args:
        sink: an open file.
        schema: of the rows.
        options: as :class:`pyarrow.parquet.ParquetWriter` takes them.
    """
    return pq.ParquetWriter(sink, schema, write_page_checksum=True, **options)


def write_parts(
    filesystem: pyarrow.fs.FileSystem, root: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> list[WrittenFile]:
    """Write rows as files of a table that are not in its log yet; memory is that of a row group.

    Args:
        filesystem: that has the table.
        root: what goes before a file's name.
        schema: of the files, to which rows are cast.
        batches: the rows.

    Returns:
        The files, none where there are no rows.
    """
    written: list[WrittenFile] = []
    groups = _row_groups(batches)
    group = next(groups, None)
    while group is not None:
        name, rows = f"part-{len(written):05d}-{uuid.uuid4()}.parquet", 0
        with filesystem.open_output_stream(root + name) as sink, parquet_writer(sink, schema) as writer:
            while group is not None and sink.tell() < _FILE_BYTES:
                writer.write_table(group.cast(schema), 2 * ROW_GROUP)
                rows += group.num_rows
                group = next(groups, None)
        written.append(WrittenFile(name, filesystem.get_file_info(root + name).size, rows))
    return written


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches put together until they are as many rows as a row group has."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
            rows += batch.num_rows
        if rows >= ROW_GROUP:
            yield pa.Table.from_batches(held)
            held, rows = [], 0
    if held:
        yield pa.Table.from_batches(held)


def write_parquet(rows: pa.Table, sink: Any, **options: Any) -> None:
    """Write rows as one file, whose pages have checksums.

    Args:
        rows: to be written.
        sink: an open file, or a path.
        options: as :func:`pyarrow.parquet.write_table` takes them.
    """
    pq.write_table(rows, sink, write_page_checksum=True, **options)
