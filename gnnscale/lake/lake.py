"""Where tables are, and how they are read and committed: Delta tables under one folder or object-store URI."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError, TableNotFoundError

from gnnscale.lake.delta_files import commit_files
from gnnscale.lake.delta_log import check_readable, log_fault, logged_commits
from gnnscale.lake.parquet_pages import CHECKED, check_names, check_rows, reading, write_parts
from gnnscale.lake.places import local_path, open_folder, open_place
from gnnscale.lake.record_text import read_record_text, record_text
from gnnscale.lake.sources.plain_types import stored_array, stored_type
from gnnscale.schema import LakeError, mask_secrets, nearest

RECORDS: Final = "_records"
"""Folder of a lake that holds its records."""


def _stored(field: pa.Field) -> pa.DataType:
    """The type that a column has in a table of a lake."""
    kind = stored_type(field.type)
    if kind is None:
        raise LakeError(f"column '{field.name}' is of type {field.type}, which no table of a lake has")
    return kind


def _as_stored(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    arrays = [stored_array(array, kind) for array, kind in zip(batch.columns, schema.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _meeting(batch: pa.RecordBatch, wanted: ds.Expression) -> pa.RecordBatch:
    """The rows that meet a condition; the batch itself, without a copy of its vectors, where all do."""
    plain = [name for name in batch.schema.names if not pa.types.is_nested(batch.schema.field(name).type)]
    places = pa.array(np.arange(batch.num_rows))
    kept = batch.select(plain).append_column("", places).filter(wanted)
    return batch if kept.num_rows == batch.num_rows else batch.take(kept[""])


class Lake:
    """Delta tables and small JSON records under one root.

    Args:
        uri: a folder, or an object-store URI such as ``s3://bucket/prefix``.
        storage_options: credentials and endpoints, as delta-rs names them.

    Raises:
        LakeError: a folder whose path has a percent sign, which URIs read as an escape.
    """

    def __init__(self, uri: str | Path, storage_options: dict[str, str] | None = None) -> None:
        text = str(uri)
        path = local_path(text)
        self.local = path is not None
        self.uri = path if path is not None else text.rstrip("/")
        if self.local and "%" in self.uri:
            raise LakeError(f"a lake can't be in a folder with '%' in its path, as {self.uri} has; choose another")
        self.storage_options = dict(storage_options or {})

    def __repr__(self) -> str:
        return f"Lake({self.uri!r})"

    def table_uri(self, table: str) -> str:
        """Where the Delta table of that name is, or would be."""
        return f"{self.uri}/{table}"

    def cache_folder(self, cache: str | Path | None = None) -> str | None:
        """Folder on a local disk for arrays: the one given, else one in a local lake, else None."""
        return str(cache) if cache else f"{self.uri}/_store" if self.local else None

    def exists(self, table: str) -> bool:
        """Whether the table has been committed."""
        return DeltaTable.is_deltatable(self.table_uri(table), self.storage_options or None)

    def tables(self) -> list[str]:
        """Names of all tables under the root."""
        filesystem, path = self._filesystem()
        entries = filesystem.get_file_info(pyarrow.fs.FileSelector(path, allow_not_found=True))
        folders = [e.base_name for e in entries if e.type == pyarrow.fs.FileType.Directory]
        return sorted(name for name in folders if self.exists(name))

    def open(self, table: str, version: int | None = None) -> DeltaTable:
        """The table at its latest, or the given, version.

        Raises:
            LakeError: there is no such table, or it uses a protocol feature that would be read wrong here.
        """
        try:
            opened = DeltaTable(self.table_uri(table), version, self.storage_options or None)
        except TableNotFoundError:
            known = nearest(table, self.tables())
            raise LakeError(f"no table '{table}' in lake {self.uri}.{known}") from None
        except DeltaError as error:
            wanted = f" at version {version}" if version is not None else ""
            raise LakeError(f"table '{table}' of lake {self.uri} can't be read{wanted}: {log_fault(error)}") from None
        check_readable(opened, table)
        return opened

    def history(self, table: str, limit: int | None = None) -> list[dict[str, Any]]:
        """What is known of each commit that the table's log still has, the latest first: ``version``, and its stamp.

        Args:
            table: its name.
            limit: most commits that are wanted.

        Raises:
            LakeError: as in :meth:`open`.
        """
        found = self.open(table).history(limit)
        # delta-rs finds no commit under a path with '#', which it reads as the end of a URL's path.
        return found or (logged_commits(Path(self.table_uri(table)) / "_delta_log")[:limit] if self.local else [])

    def version(self, table: str) -> int:
        """Latest version of the table."""
        return self.open(table).version()

    def read(self, table: str, columns: Sequence[str] | None = None, version: int | None = None) -> pa.Table:
        """All rows, in memory.

        Raises:
            LakeError: as in :meth:`open`, or a file of the table can't be read.
        """
        opened = self.open(table, version)
        try:
            with reading(table):
                files, names = opened.to_pyarrow_dataset(), list(columns) if columns is not None else None
                rows = files.to_table(columns=names, fragment_scan_options=CHECKED)
                check_rows(rows.num_rows, files.count_rows())
                for file in files.get_fragments():
                    check_names(file, files.schema.names)
                return rows
        except DeltaError as error:
            raise LakeError(f"table '{table}' of lake {self.uri} can't be read: {log_fault(error)}") from None

    def batches(
        self,
        table: str,
        columns: Sequence[str],
        wanted: ds.Expression | None = None,
        version: int | None = None,
        batch_rows: int = 1 << 17,
    ) -> Iterator[pa.RecordBatch]:
        """Rows that meet a condition, some at a time, without empty batches.

        Whole files are left out by what the log says of them, and no row by the footer of a file, which has no
        checksum.

        Args:
            table: its name.
            columns: that are wanted, those of the condition among them.
            wanted: condition; default: all rows.
            version: of the table; default: the latest.
            batch_rows: most rows of a batch.

        Raises:
            LakeError: as in :meth:`read`.
        """
        files = self.open(table, version).to_pyarrow_dataset()
        for file in files.get_fragments(filter=wanted):
            found = file.to_batches(
                schema=files.schema,
                columns=list(columns),
                batch_size=batch_rows,
                batch_readahead=1,
                fragment_scan_options=CHECKED,
            )
            rows = 0
            with reading(table, file.path.rpartition("/")[2]):
                check_names(file, files.schema.names)
                for batch in found:
                    rows += batch.num_rows
                    meets = batch if wanted is None else _meeting(batch, wanted)
                    if meets.num_rows:
                        yield meets
                check_rows(rows, file.count_rows())

    def write(
        self,
        table: str,
        data: pa.Table | pa.RecordBatchReader,
        mode: Literal["overwrite", "append"] = "overwrite",
        metadata: dict[str, str] | None = None,
    ) -> int:
        """Commit rows in one transaction; readers see all of them or none.

        Args:
            metadata: kept with the commit, to say where the rows came from.

        Returns:
            The version committed.

        Raises:
            LakeError: no table of a lake has values of a column's type.
        """
        plain = pa.schema([field.with_type(_stored(field)) for field in data.schema])
        batches = data.to_batches() if isinstance(data, pa.Table) else data
        rows = (_as_stored(batch, plain) for batch in batches)
        schema = pa.schema(Schema.from_arrow(plain).to_arrow())
        filesystem, root = open_folder(self.table_uri(table), self.storage_options, make=True)
        written = write_parts(filesystem, root, schema, rows)
        return commit_files(self.table_uri(table), schema, written, mode, self.storage_options, metadata)

    def vacuum(self, table: str, days: int) -> int:
        """Remove files that no version of the table has needed for some days: earlier versions can't be read then.

        Files that nobody has committed, as those of a killed run, are removed when they are as old.

        Returns:
            Files removed.
        """
        opened = self.open(table)
        old = opened.vacuum(retention_hours=24 * days, enforce_retention_duration=False, full=True)
        if old:
            opened.vacuum(retention_hours=24 * days, dry_run=False, enforce_retention_duration=False, full=True)
        return len(old)

    @property
    def is_writable_by_delta(self) -> bool:
        """Whether delta-rs changes rows here itself: it takes paths for URIs, which have no room for some signs."""
        return not (self.local and re.search(r"[\[\]|^]", self.uri))

    def read_record(self, name: str) -> dict[str, Any] | None:
        """The JSON record of that name, or None where it was never written.

        Raises:
            LakeError: it is broken.
        """
        content = self.read_bytes(f"{RECORDS}/{name}.json")
        if content is None:
            return None
        try:
            return read_record_text(content)
        except ValueError as error:
            place = f"{self.uri}/{RECORDS}/{name}.json"
            raise LakeError(f"record {place} is broken: {error}; remove it, and what it tells is made again") from None

    def write_record(self, name: str, record: dict[str, Any]) -> None:
        """Replace a JSON record, secrets masked; a reader sees the old one or the new one, never a part."""
        self.write_bytes(f"{RECORDS}/{name}.json", record_text(mask_secrets(record)))

    def records(self) -> list[str]:
        """Names of the JSON records that there are."""
        filesystem, root = self._filesystem()
        chosen = pyarrow.fs.FileSelector(f"{root}/{RECORDS}", allow_not_found=True)
        files = filesystem.get_file_info(chosen)
        return sorted(file.base_name.removesuffix(".json") for file in files if file.base_name.endswith(".json"))

    def has_file(self, path: str) -> bool:
        """Whether there is a file of that path under the root."""
        filesystem, root = self._filesystem()
        return bool(filesystem.get_file_info(f"{root}/{path}").type == pyarrow.fs.FileType.File)

    def read_bytes(self, path: str) -> bytes | None:
        """Content of a file under the root, or None where there is none."""
        filesystem, root = self._filesystem()
        file = f"{root}/{path}"
        if filesystem.get_file_info(file).type == pyarrow.fs.FileType.NotFound:
            return None
        with filesystem.open_input_stream(file) as stream:
            content: bytes = stream.read()
            return content

    def write_bytes(self, path: str, content: bytes) -> str:
        """Replace a file under the root; a reader sees the old one or the new one, never a part.

        Returns:
            Where it is.
        """
        filesystem, root = self._filesystem()
        file = f"{root}/{path}"
        if not self.local:
            # An object is there when all of it has come.
            with filesystem.open_output_stream(file) as stream:
                stream.write(content)
            return f"{self.uri}/{path}"
        filesystem.create_dir(file.rpartition("/")[0], recursive=True)
        with filesystem.open_output_stream(f"{file}.new") as stream:
            stream.write(content)
        filesystem.move(f"{file}.new", file)
        return file

    def put_folder(self, folder: Path, path: str) -> None:
        """Move the files of a local folder under the root, which takes no time on the same disk."""
        filesystem, root = self._filesystem()
        if self.local:
            target = Path(root) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(folder, target)
            return
        filesystem.create_dir(f"{root}/{path}", recursive=True)
        pyarrow.fs.copy_files(str(folder), f"{root}/{path}", pyarrow.fs.LocalFileSystem(), filesystem)
        shutil.rmtree(folder)

    def get_folder(self, path: str, folder: Path | None = None) -> Path:
        """A local folder with the files of one under the root: that folder itself, where the lake is local.

        Args:
            path: of the folder under the root.
            folder: gets a copy, where the lake is not local.
        """
        filesystem, root = self._filesystem()
        if self.local:
            return Path(root) / path
        assert folder is not None
        pyarrow.fs.copy_files(f"{root}/{path}", str(folder), filesystem, pyarrow.fs.LocalFileSystem())
        return folder

    def file_sizes(self, path: str) -> dict[str, int]:
        """Bytes of every file below a folder under the root, by path under that folder."""
        filesystem, root = self._filesystem()
        selector = pyarrow.fs.FileSelector(f"{root}/{path}", recursive=True, allow_not_found=True)
        start = len(f"{root}/{path}/")
        files = (entry for entry in filesystem.get_file_info(selector) if entry.type == pyarrow.fs.FileType.File)
        return {entry.path[start:]: entry.size for entry in files}

    def remove_folder(self, path: str) -> None:
        """Remove a folder under the root with all files in it, where there is one."""
        filesystem, root = self._filesystem()
        if filesystem.get_file_info(f"{root}/{path}").type == pyarrow.fs.FileType.Directory:
            filesystem.delete_dir(f"{root}/{path}")

    def _filesystem(self) -> tuple[pyarrow.fs.FileSystem, str]:
        return open_place(self.uri, self.storage_options)
