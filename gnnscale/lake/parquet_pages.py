"""Parquet files of a lake: every page is written with a checksum, which is held against it when it is read."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq

from gnnscale.schema import LakeError

CHECKED: Final = ds.ParquetFragmentScanOptions(pre_buffer=True, page_checksum_verification=True)
"""How the files of a dataset are scanned, for ``fragment_scan_options``."""

_COLORS: Final = re.compile(r"\x1b\[[0-9;]*m")
"""Of errors that are meant for a terminal."""

_OF_A_FILE: Final = (None, errno.ENOENT, errno.EIO)
"""Numbers of errors that tell of the file that is read, and not of memory or of a disk that is written to."""


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
        if isinstance(error, pa.ArrowMemoryError | MemoryError) or getattr(error, "errno", None) not in _OF_A_FILE:
            raise
        said = _COLORS.sub("", str(error)).partition("\n")[0][:300] or type(error).__name__
        which = f"file {file}" if file else "a file"
        raise LakeError(
            f"{which} of table '{table}' can't be read, or is damaged: {said}; put it back, or run the stage that "
            "writes the table again with --force"
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


def check_rows(rows: int, known: int) -> None:
    """Whether as many rows were read as a footer tells of: a page of a kind that is not known is passed over.

    Raises:
        pyarrow.ArrowInvalid: it is another number.
    """
    if rows != known:
        raise pa.ArrowInvalid(f"{rows:,} of its {known:,} rows were found")


def parquet_writer(sink: Any, schema: pa.Schema, **options: Any) -> pq.ParquetWriter:
    """A writer whose pages have checksums.

    Args:
        sink: an open file.
        schema: of the rows.
        options: as :class:`pyarrow.parquet.ParquetWriter` takes them.
    """
    return pq.ParquetWriter(sink, schema, write_page_checksum=True, **options)


def write_parquet(rows: pa.Table, sink: Any, **options: Any) -> None:
    """Write rows as one file, whose pages have checksums.

    Args:
        rows: to be written.
        sink: an open file, or a path.
        options: as :func:`pyarrow.parquet.write_table` takes them.
    """
    pq.write_table(rows, sink, write_page_checksum=True, **options)
